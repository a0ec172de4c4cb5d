"""Weights in channels_last, and compiled networks: the same numbers but for rounding, and exact resume."""

import pytest
import torch

import i2i_forge
from i2i_forge.engine.compiled import compiled
from i2i_forge.errors import RecipeError
from i2i_forge.run import checkpoint

TINY = [
    "networks.content_encoder.width=8", "networks.style_encoder.width=8", "networks.decoder.width=8",
    "networks.discriminator.width=8",
]  # fmt: skip
IMAGES = {name: torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n, name in enumerate("ab")}


def built(*changes, dtype=torch.float64, name="munit_synthetic"):
    return i2i_forge.build_trainer(i2i_forge.load_recipe(name, set=[*TINY, *changes]), dtype=dtype)


def alike(one, other, tolerance=1e-9):
    for name, value in one.state_dict().items():
        assert torch.allclose(other.state_dict()[name], value, rtol=tolerance, atol=tolerance), name


def weights(trainer):
    return [p for p in trainer.parameters().values() if p.ndim == 4 and min(p.shape[1:]) > 1]


def test_channels_last_is_a_layout():
    plain, last = built(), built("run.channels_last=true")
    assert not any(w.is_contiguous(memory_format=torch.channels_last) for w in weights(plain))
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights(last))
    for step in range(2):
        assert last.step(IMAGES, step) == pytest.approx(plain.step(IMAGES, step), rel=1e-9)
    assert last.translate(IMAGES["a"]).is_contiguous(memory_format=torch.channels_last)


def test_channels_last_resumes_exactly(tmp_path):
    """The optimizer's memory comes back in the layout of its parameter: fused kernels read both as they lie."""
    straight, stopped = (built("run.channels_last=true", dtype=torch.float32) for _ in range(2))
    for trainer in (straight, stopped):
        trainer.step(IMAGES, 0)
    checkpoint.save(tmp_path, 1, stopped, {}, keep=1)
    resumed = built("run.channels_last=true", dtype=torch.float32)
    checkpoint.restore(checkpoint.newest(tmp_path, pytest.fail), resumed)
    for trainer in (straight, resumed):
        trainer.step(IMAGES, 1)
    assert checkpoint.digest(straight) == checkpoint.digest(resumed)
    plain = built(dtype=torch.float32)  # which may read it too
    checkpoint.restore(checkpoint.newest(tmp_path, pytest.fail), plain)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own compiler asks
def test_compiled_networks_give_the_same_step():
    """Traced, differentiated and run by torch's compiler, without generating code for this processor."""
    plain, other = built(), built()
    for _, network in other.modules():
        compiled(network, backend="aot_eager")
    for step in range(2):
        assert other.step(IMAGES, step) == pytest.approx(plain.step(IMAGES, step), rel=1e-9)
    assert list(other.state_dict()) == list(plain.state_dict())
    assert torch.allclose(other.translate(IMAGES["a"]), plain.translate(IMAGES["a"]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own compiler warns of itself
def test_a_recipe_that_compiles():
    plain = built(dtype=torch.float32)
    other = built("run.compile=[discriminator, style_encoder]", dtype=torch.float32)
    for step in range(2):
        assert other.step(IMAGES, step) == pytest.approx(plain.step(IMAGES, step), rel=1e-3)


def test_compiling_what_is_recomputed_is_refused():
    with pytest.raises(RecipeError, match=r"'decoder' is in run\.recompute too"):
        built("run.compile=[decoder]", "run.recompute=[decoder]")
    with pytest.raises(RecipeError, match="there is no network 'decodr'; did you mean 'decoder'"):
        built("run.compile=[decodr]")
