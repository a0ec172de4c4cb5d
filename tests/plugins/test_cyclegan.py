"""CycleGAN: what its tensors are, how often networks run, the pool in training, and the variant with noise."""

from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor

import i2i_forge
from i2i_forge.engine.build import trace_recipe
from i2i_forge.recipe.reading import read_recipe

SMALL = ["networks.encoder.width=4", "networks.decoder.width=4", "networks.discriminator.width=4"]
TINY = {
    "cyclegan": [*SMALL, "networks.encoder.blocks=1", "state.image_pool.size=3"],
    "cyclegan_noise": [
        *SMALL, "networks.encoder.levels=5", "networks.decoder.levels=5", "networks.encoder.code_dim=3",
    ],
}  # fmt: skip
METHODS = list(TINY)


def make(method: str = "cyclegan", *sets: str, drop: tuple[str, ...] = ()) -> i2i_forge.Trainer:
    recipe = read_recipe(f"{method}_synthetic", set=[*TINY[method], *sets], drop=drop)
    return i2i_forge.build_trainer(recipe, dtype=torch.float64, catalog=CATALOG)


def images(step: int = 0) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(step)
    return {domain: torch.rand(2, 3, 32, 32, generator=draws).double() * 2 - 1 for domain in ("a", "b")}


def generate(trainer: i2i_forge.Trainer, x: Tensor, source: str, target: str, *code: Tensor) -> Tensor:
    networks: Any = trainer.networks
    return networks["decoder"][target](networks["encoder"][source](x, *code))


def states(trainer: i2i_forge.Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in (trainer.state_dict() | trainer.optimizer_state()).items()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


# ---- the tensors ---------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(("route", "source", "target"), [("ab", "a", "b"), ("ba", "b", "a")])
def test_the_tensors_are_those_of_the_paper(route: str, source: str, target: str) -> None:
    trainer, batch = make(), images()
    translation = generate(trainer, batch[source], source, target)
    expected = {
        "translation": translation,
        "cycled": generate(trainer, translation, target, source),
        "identity": generate(trainer, batch[target], source, target),
        "pooled_translation": translation,  # nothing is exchanged outside training
        "real_logits": trainer.networks["discriminator"][target](batch[target]),
        "fake_logits": trainer.networks["discriminator"][target](translation),
    }
    for name, value in expected.items():
        assert torch.equal(trainer.infer(name, batch, route), value), name


def test_the_losses_are_those_of_the_paper() -> None:
    trainer, batch = make(), images()
    tensors: Any = {name: trainer.infer(name, batch, "ab") for name in (
        "translation", "cycled", "identity", "fake_logits", "real_logits",
    )}  # fmt: skip
    report = trainer.step(batch, 0)
    expected = {
        "generator/gan/ab": (tensors["fake_logits"] - 1).square().mean(),
        "generator/cycle/ab": (tensors["cycled"] - batch["a"]).abs().mean(),
        "generator/identity/ab": (tensors["identity"] - batch["b"]).abs().mean(),
        # of the translation that was made before the generator's update, with a pool that was not full
        "discriminator/gan/ab": (tensors["real_logits"] - 1).square().mean() + tensors["fake_logits"].square().mean(),
    }
    for name, value in expected.items():
        assert report[name] == pytest.approx(float(value), rel=1e-12), name


@pytest.mark.parametrize(
    ("drop", "halves", "judgements"),
    [
        ((), 12, 6),  # published: 6 generators (each an encoder and a decoder), 6 discriminators
        (("generator.identity",), 8, 6),
        (("generator.cycle",), 8, 6),
        (("generator.cycle", "generator.identity"), 4, 6),
        (("generator.gan",), 12, 4),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_networks_run_as_often_as_published_and_only_for_what_is_minimized(
    method: str, drop: tuple[str, ...], halves: int, judgements: int
) -> None:
    traced = trace_recipe(read_recipe(f"{method}_synthetic", drop=drop), CATALOG)
    called = [name.partition(".")[0] for names in traced.calls.values() for name in names]
    assert called.count("encoder") + called.count("decoder") == halves
    assert called.count("discriminator") == judgements


# ---- the pool ------------------------------------------------------------------------------------------------------


def test_the_pool_of_a_route_holds_translations_of_that_route() -> None:
    trainer = make()
    for step in range(2):
        made = {route: trainer.infer("translation", images(step), route) for route in ("ab", "ba")}
        trainer.step(images(step), step)
        for route in made:
            held = trainer.state_dict()[f"state.image_pool.{route}.images"]
            assert torch.equal(held[2 * step], made[route][0])
            assert len(held) == (2, 3)[step]


def test_the_discriminator_judges_what_the_pool_hands_out() -> None:
    trainer, batch = make(), images()
    older = images(9)["b"]
    handed: list[Tensor] = []
    for pool in trainer.states["image_pool"].values():
        pool.register_forward_hook(lambda module, given, out: handed.append(given[0]) or older)
    with torch.no_grad():
        judged = trainer.networks["discriminator"]["b"](older)
        real = trainer.infer("real_logits", batch, "ab")
    report = trainer.step(batch, 0)
    expected = (real - 1).square().mean() + judged.square().mean()
    assert report["discriminator/gan/ab"] == pytest.approx(float(expected), rel=1e-12)
    assert len(handed) == 2  # once for each route and step
    assert not any(images.requires_grad for images in handed)


def test_a_full_pool_sends_older_images_and_without_one_it_does_not() -> None:
    reports = []
    for size in (1, 0):
        trainer = make("cyclegan", f"state.image_pool.size={size}")
        reports.append([trainer.step(images(step), step) for step in range(4)])
    pooled, plain = ([report["discriminator/gan/ab"] for report in kind] for kind in reports)
    assert pooled != plain


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [1, 4])
def test_a_resumed_run_is_the_run_itself_to_the_bit(method: str, stop: int) -> None:
    """The pool included: half full after one step, exchanging after four."""
    straight = make(method, "state.image_pool.size=3")
    stored: dict[str, Tensor] = {}
    for step in range(6):
        if step == stop:
            stored = states(straight)
        straight.step(images(step), step)
    resumed = make(method, "state.image_pool.size=3")
    resumed.step(images(7), 0)  # its pool holds something else
    resumed.load_state_dict(stored)
    resumed.load_optimizer_state({name: value for name, value in stored.items() if "|" in name})
    for step in range(stop, 6):
        resumed.step(images(step), step)
    assert_equal(states(resumed), states(straight))


def test_equal_seeds_train_equally_and_the_seed_counts_for_the_pool() -> None:
    weights = make().state_dict()

    def pools(seed: int) -> dict[str, Tensor]:
        trainer = make("cyclegan", f"seed={seed}", "state.image_pool.size=2")
        trainer.load_state_dict(weights)
        for step in range(5):
            trainer.step(images(step), step)
        return {name: value for name, value in trainer.state_dict().items() if name.startswith("state.")}

    one, again, other = pools(1), pools(1), pools(2)
    assert_equal(one, again)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_tracing_leaves_the_pool_empty() -> None:
    trainer = i2i_forge.build_trainer(read_recipe("cyclegan_synthetic", set=TINY["cyclegan"]), "meta", catalog=CATALOG)
    trainer.losses(trainer.phases[1], _passes(trainer), 0)
    assert len(trainer.state_dict()["state.image_pool.ab.images"]) == 0


def _passes(trainer: i2i_forge.Trainer) -> Any:
    from i2i_forge.engine.passes import StepPasses

    batch = {name: value.to("meta", torch.float32) for name, value in images().items()}
    return StepPasses(trainer, batch, 0, {}, phases=trainer.phases)


# ---- with noise ----------------------------------------------------------------------------------------------------


def test_the_code_is_the_only_latent_and_nothing_encodes_it() -> None:
    kinds: Any = {name: CATALOG.trainers.get(name) for name in METHODS}
    assert kinds["cyclegan"].latents_of("ab") == {}
    assert kinds["cyclegan_noise"].latents_of("ab") == {"random_code": None}


def test_a_code_decides_the_translation() -> None:
    trainer = make("cyclegan_noise", "networks.decoder.dropout=0")
    x = images()["a"][:1]
    codes = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    many = trainer.translate(x, "ab", random_code=codes)
    assert many.shape == (4, 3, 32, 32)
    for code, translation in zip(codes, many, strict=True):
        alone = trainer.translate(x, "ab", random_code=code[None])
        assert torch.allclose(alone[0], translation, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(many[0], many[1])
    with torch.no_grad():
        assert torch.allclose(generate(trainer, x, "a", "b", codes[:1]), many[:1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["cycled", "identity"])
def test_every_run_of_a_generator_draws_a_code_of_its_own(name: str) -> None:
    trainer = make("cyclegan_noise", "networks.decoder.dropout=0")
    code = torch.zeros(2, 3).double()

    def computed(seed: int) -> Tensor:
        draws = torch.Generator().manual_seed(seed)
        return trainer.infer(name, images(), "ab", generator=draws, random_code=code)

    assert torch.equal(computed(1), computed(1))
    assert not torch.equal(computed(1), computed(2))


def test_dropout_goes_on_at_test_time() -> None:
    deep = ("networks.encoder.levels=6", "networks.decoder.levels=6")  # the outer four levels never drop
    same = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double().expand(2, -1, -1, -1)
    for options, equal in (((), False), (("networks.decoder.dropout_at_test=false",), True)):
        one, other = make("cyclegan_noise", *deep, *options).translate(same, "ab", random_code=torch.zeros(2, 3))
        assert torch.allclose(one, other) == equal


def test_its_steps_are_finite_and_change_every_network() -> None:
    trainer = make("cyclegan_noise")
    before = states(trainer)
    report = trainer.step(images(), 0)
    assert len(report) == 8
    after = trainer.state_dict()
    for role in ("encoder", "decoder", "discriminator"):
        for domain in ("a", "b"):
            names = [name for name in after if name.startswith(f"{role}.{domain}.") and name.endswith("weight")]
            assert all(not torch.equal(after[name], before[name]) for name in names)
