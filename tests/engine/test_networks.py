"""How networks run changes no number: recomputed in backward; in channels_last or compiled, but for rounding."""

import copy

import pytest
import torch
from forked import context
from loaded import CATALOG
from shrink import TINY_MUNIT, shrunk

from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.networks import compiled
from i2i_forge.errors import RecipeError
from i2i_forge.nn import ImagePool
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.study.bench_steps import images_of

METHODS = [
    f"{name}_synthetic"
    for name in ("munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "cyclegan_noise", "augmented_cyclegan")
]
ROLES = {  # of the recipes at CPU size, those without running statistics
    "munit_synthetic": ["content_encoder", "style_encoder", "decoder", "discriminator"],
    "unit_synthetic": ["encoder", "decoder", "discriminator"],
    "cyclegan_synthetic": ["encoder", "decoder", "discriminator"],
    "cyclegan_noise_synthetic": ["encoder", "decoder", "discriminator"],
    "bicyclegan_synthetic": ["encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator"],
    "augmented_cyclegan_synthetic": ["encoder", "decoder", "discriminator"],
}
IMAGES = {name: torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n, name in enumerate("ab")}


def built(name, roles, *changes):
    tiny = shrunk(read_recipe(name), CATALOG, "unused")
    return build_trainer(read_recipe(name, set=[*tiny, *changes, f"run.recompute=[{', '.join(roles)}]"]), CATALOG)


def kept(trainer):
    """Bytes that autograd holds at most, as one phase after the other saves them."""
    total = 0

    def save(value):
        nonlocal total
        total += value.nbytes
        return value

    with torch.autograd.graph.saved_tensors_hooks(save, lambda value: value):
        trainer.step(IMAGES, 0)
    return total


@pytest.mark.parametrize("name", ROLES)
def test_the_weights_after_two_steps_are_the_same_to_the_bit(name):
    plain, sparing = built(name, []), built(name, ROLES[name])
    for step in range(2):
        assert plain.step(IMAGES, step) == sparing.step(IMAGES, step)
    assert checkpoint.digest(plain) == checkpoint.digest(sparing)


def test_with_gradient_penalty_and_augmentation():
    """Backward goes through backward, and random numbers are drawn again alike."""
    changes = ["phases.discriminator.minimize.penalty=5 * r1(discriminator, target)",
               "networks.discriminator.augment=[color, cutout]"]  # fmt: skip
    plain, sparing = (built("munit_synthetic", roles, *changes) for roles in ([], ["discriminator"]))
    assert plain.step(IMAGES, 0) == sparing.step(IMAGES, 0)
    assert checkpoint.digest(plain) == checkpoint.digest(sparing)


def test_less_is_kept():
    assert kept(built("munit_synthetic", ROLES["munit_synthetic"])) < kept(built("munit_synthetic", [])) / 5


def test_a_network_that_remembers_passes_is_refused():
    for change in ("networks.content_encoder.norm=batch", "networks.content_encoder.norm=spectral"):
        with pytest.raises(RecipeError, match=r"run\.recompute: content_encoder\.a: its .* remembers each pass"):
            built("munit_synthetic", ["content_encoder"], change)


def test_a_network_can_be_copied():
    network = built("munit_synthetic", ["style_encoder"]).networks["style_encoder"]["a"]
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert other(IMAGES["a"]).abs().sum() > 0 == network(IMAGES["a"]).abs().sum()


# ---- layouts and compiling -------------------------------------------------------------------------------------------


def tiny(*changes, dtype=torch.float32):
    return build_trainer(read_recipe("munit_synthetic", set=[*TINY_MUNIT, *changes]), CATALOG, dtype=dtype)


def weights(trainer):
    return [p for p in trainer.parameters().values() if p.ndim == 4 and min(p.shape[1:]) > 1]


def test_channels_last_is_a_layout():
    plain, last = (tiny(*changes, dtype=torch.float64) for changes in ((), ["run.channels_last=true"]))
    assert not any(w.is_contiguous(memory_format=torch.channels_last) for w in weights(plain))
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights(last))
    for step in range(2):
        assert last.step(IMAGES, step) == pytest.approx(plain.step(IMAGES, step), rel=1e-9)
    assert last.translate(IMAGES["a"]).is_contiguous(memory_format=torch.channels_last)


def test_channels_last_resumes_exactly(tmp_path):
    """The optimizer's memory comes back in the layout of its parameter: fused kernels read both as they lie."""
    straight, stopped = (tiny("run.channels_last=true") for _ in range(2))
    for trainer in (straight, stopped):
        trainer.step(IMAGES, 0)
    checkpoint.save(tmp_path, 1, stopped, {}, keep=1)
    resumed = tiny("run.channels_last=true")
    checkpoint.restore(checkpoint.newest(tmp_path, pytest.fail), resumed)
    for trainer in (straight, resumed):
        trainer.step(IMAGES, 1)
    assert checkpoint.digest(straight) == checkpoint.digest(resumed)
    plain = tiny()  # which may read it too
    checkpoint.restore(checkpoint.newest(tmp_path, pytest.fail), plain)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own compiler asks
def test_compiled_networks_give_the_same_step():
    """Traced, differentiated and run by torch's compiler, without generating code for this processor."""
    plain, other = (tiny(dtype=torch.float64) for _ in range(2))
    for networks in other.networks.values():
        compiled(networks["a"], backend="aot_eager")  # those of b are like them
    for step in range(2):
        assert other.step(IMAGES, step) == pytest.approx(plain.step(IMAGES, step), rel=1e-9)
    assert list(other.state_dict()) == list(plain.state_dict())
    for route in ("ab", "ba"):
        images = IMAGES[route[0]]
        assert torch.allclose(other.translate(images, route), plain.translate(images, route))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own, as it traces
@pytest.mark.parametrize("name", METHODS)
def test_every_network_is_one_graph(name):
    """A break would be an error; `run.compile` and CUDA's graphs are worth little with breaks."""
    recipe = read_recipe(name)
    trainer = build_trainer(read_recipe(name, set=shrunk(recipe, CATALOG, "unused")), CATALOG)
    torch._dynamo.reset()
    for _, network in trainer.modules():
        if not isinstance(network, ImagePool):
            network.compile(backend="eager", fullgraph=True)
    trainer.step(images_of(recipe), 0)


@pytest.mark.slow
def test_a_recipe_that_compiles():
    """In a process of its own: after torch's compiler has generated code, no fork can run backward any more."""
    plain = tiny()
    with context().Pool(1) as pool:
        reports = pool.apply(_compiled)
    for step, report in enumerate(reports):
        assert report == pytest.approx(plain.step(IMAGES, step), rel=1e-3)


def _compiled():
    other = tiny("run.compile=[discriminator, style_encoder]")
    return [other.step(IMAGES, step) for step in range(2)]


def test_roles_that_are_not_there_and_compiling_what_is_recomputed_are_refused():
    with pytest.raises(RecipeError, match=r"run\.recompute"):
        tiny("run.recompute=[encodr]")
    with pytest.raises(RecipeError, match=r"'decoder' is in run\.recompute too"):
        tiny("run.compile=[decoder]", "run.recompute=[decoder]")
    with pytest.raises(RecipeError, match="there is no network 'decodr'; did you mean 'decoder'"):
        tiny("run.compile=[decodr]")
