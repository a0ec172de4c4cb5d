"""Augmented CycleGAN: what each route computes, from which code, and what the recipes minimize."""

from typing import Any

import pytest
import torch
from loaded import CATALOG, recipe_of, trainer_of
from shrink import small
from torch import Tensor

from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import ForgeError, UsageError

RECIPE = "augmented_cyclegan_edges2shoes"
TINY = (
    *small(encoder="blocks=1", decoder="", discriminator=""), "data.batch=2", "networks.discriminator.per.a.width=4",
)  # fmt: skip
CODES = ("networks.code_encoder.width=4", "networks.code_discriminator.width=8")
SETS = {"": (*TINY, *CODES), "_supervised": (*TINY, *CODES), "_stochastic": (*TINY, CODES[0]), "_noise": TINY}
UNSUPERVISED = {
    "discriminator/gan/ab", "discriminator/gan/ba", "generator/gan/ab", "generator/gan/ba",
    "generator/cycle/ab", "generator/cycle/ba",
}  # fmt: skip
TERMS = {
    "": {"discriminator/code_gan/ba", "generator/code_gan/ba", "generator/code/ab"},
    "_stochastic": {"generator/code/ab", "generator/kl/ba"},
    "_noise": set(),
}


def make(variant: str = "", *sets: str, **options: Any) -> Any:
    return trainer_of(f"{RECIPE}{variant}", *SETS[variant], *sets, **options)


@pytest.fixture(scope="module")
def trainer() -> Any:
    """Its tests leave the weights as they are: large ones, for the published start makes every image almost nothing."""
    made = make("", "phases.discriminator.reuse=~", dtype=torch.float64)
    for index, (name, value) in enumerate(made.state_dict().items()):
        if "running" not in name and value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(index)).to(value) * 0.4 - 0.1)
    return made


def images(count: int = 2, seed: int = 0) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {d: torch.rand(count, 3, 64, 64, generator=draws, dtype=torch.float64) * 2 - 1 for d in ("a", "b")}


def codes(count: int = 2, seed: int = 5) -> Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(trainer: Any, role: str, domain: str = "shared") -> Any:
    return trainer.networks[role][domain].eval()


def to_b(trainer: Any, a: Tensor, code: Tensor) -> Tensor:
    return network(trainer, "decoder", "b")(network(trainer, "encoder", "a")(a, code), code)


def to_a(trainer: Any, b: Tensor) -> Tensor:
    return network(trainer, "decoder", "a")(network(trainer, "encoder", "b")(b))


# ---- routes and their tensors --------------------------------------------------------------------------------------


def test_one_route_is_stochastic_and_one_is_not(trainer: Any) -> None:
    assert trainer.latents_of("ab") == {"random_code": "mean"}
    assert trainer.latents_of("ba") == {}
    batch, one, other = images(), *(torch.Generator().manual_seed(seed) for seed in (1, 2))
    first, second = (trainer.translate(batch["a"], "ab", generator=draws) for draws in (one, other))
    assert (first - second).abs().max() > 1e-4
    first, second = (trainer.translate(batch["b"], "ba", generator=draws) for draws in (one, other))
    assert torch.equal(first, second)


@torch.no_grad()
def test_tensors_of_the_stochastic_route(trainer: Any) -> None:
    batch, code = images(), codes()

    def tensor(name: str) -> Any:
        return trainer.infer(name, batch, "ab", random_code=code)

    a, b = batch["a"], batch["b"]
    fake = to_b(trainer, a, code)
    encode, judge = network(trainer, "code_encoder"), network(trainer, "code_discriminator")
    expected = {
        "translation": fake, "cycled": to_a(trainer, fake), "recovered_mean": encode(fake, a)[0],
        "recovered_logvar": encode(fake, a)[1], "mean": encode(b, a)[0], "logvar": encode(b, a)[1],
        "reconstruction": to_b(trainer, a, encode(b, a)[0]), "code_logits": judge(encode(b, a)[0]),
        "random_code_logits": judge(code), "real_logits": network(trainer, "discriminator", "b")(b),
        "fake_logits": network(trainer, "discriminator", "b")(fake),
    }  # fmt: skip
    for name, value in expected.items():
        assert torch.allclose(tensor(name), value, rtol=1e-9, atol=1e-12), name
    assert not torch.allclose(expected["mean"], expected["recovered_mean"])


@torch.no_grad()
def test_tensors_of_the_deterministic_route(trainer: Any) -> None:
    batch, sampled = images(), codes(seed=6)

    def tensor(name: str, **given: Tensor) -> Any:
        return trainer.infer(name, batch, "ba", **given)

    b, fake = batch["b"], to_a(trainer, batch["b"])
    mean, logvar = network(trainer, "code_encoder")(b, fake)
    drawn = trainer.infer("random_code", batch, "ab")
    expected = {
        "translation": fake, "mean": mean, "logvar": logvar, "cycled": to_b(trainer, fake, mean),
        "code_logits": network(trainer, "code_discriminator")(mean),
        "random_code_logits": network(trainer, "code_discriminator")(drawn),
        "cycled_random": to_b(trainer, fake, drawn),
        "real_logits": network(trainer, "discriminator", "a")(batch["a"]),
        "fake_logits": network(trainer, "discriminator", "a")(fake),
    }  # fmt: skip
    for name, value in expected.items():
        assert torch.allclose(tensor(name), value, rtol=1e-9, atol=1e-12), name
    given = tensor("cycled_sampled", sampled_code=sampled)
    assert torch.allclose(given, to_b(trainer, fake, sampled), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(expected["cycled"], expected["cycled_random"], rtol=1e-3)
    assert torch.equal(trainer.encode(b, "mean", "b"), tensor("mean"))


def test_a_sampled_code_is_the_distributions_and_never_beyond_four(trainer: Any) -> None:
    def sampled(mean: float, logvar: float) -> Tensor:
        posterior = {"mean": torch.full((4000, 16), mean), "logvar": torch.full((4000, 16), logvar)}
        return trainer.infer("sampled_code", {}, "ba", **posterior)

    draws = sampled(0.5, -2.0)
    assert abs(draws.mean().item() - 0.5) < 0.01
    assert abs(draws.std().item() - torch.tensor(-1.0).exp().item()) < 0.01
    assert torch.allclose(sampled(1.5, -100.0), torch.tensor(1.5).double())
    wide = sampled(0.0, 4.0)
    assert (wide.min().item(), wide.max().item()) == (-4, 4)


def test_one_drawing_takes_many_codes_and_a_reference_gives_one(trainer: Any) -> None:
    batch = images(1)
    several = trainer.translate(batch["a"], "ab", random_code=codes(3))
    assert several.shape == (3, 3, 64, 64)
    alone = trainer.translate(batch["a"], "ab", random_code=codes(3)[1:2])
    assert torch.allclose(several[1:2], alone, rtol=1e-9, atol=1e-12)
    assert trainer.encode(batch["b"], "mean", "b").shape == (1, 16)


# ---- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", TERMS)
def test_what_a_step_minimizes(variant: str) -> None:
    made = make(variant)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    report = made.step(images(), 0)
    assert set(report) == UNSUPERVISED | TERMS[variant]
    assert all(torch.isfinite(torch.tensor(value)) for value in report.values())
    changed = {
        name.partition(".")[0] for name, value in made.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == set(made.networks)


# The published step runs G_AB 2, G_BA 2, E 2, D_A 3, D_B 3, D_z 3 times; on pairs G_AB, G_BA, E once and D_z 3 times.
# A generator is two networks here.
@pytest.mark.parametrize(("variant", "calls"), [
    ("", 2 * 4 + 2 + 6 + 3), ("_supervised", 2 * 4 + 2 + 6 + 3 + 2 * 2 + 1 + 3), ("_stochastic", 2 * 4 + 2 + 6),
    ("_noise", 2 * 4 + 6),
])  # fmt: skip
def test_a_step_runs_no_network_more_often_than_the_published_one(variant: str, calls: int) -> None:
    assert trace_recipe(recipe_of(f"{RECIPE}{variant}", *SETS[variant]), CATALOG).network_calls == calls


def seen_codes(trainer: Any, role: str, domain: str, position: int) -> list[Tensor]:
    """Filled with what a network's argument was at every call."""
    seen: list[Tensor] = []
    trainer.networks[role][domain].register_forward_pre_hook(lambda _, given: seen.append(given[position].detach()))
    return seen


def test_one_draw_serves_the_whole_step() -> None:
    """Translation, the discriminator of codes, the code's cycle; and on pairs the discriminator of codes again."""
    made = make("_supervised")
    judged, encoded = seen_codes(made, "code_discriminator", "shared", 0), seen_codes(made, "encoder", "a", 1)
    made.step({**images(), "paired": images(seed=1)}, 0)
    prior, posterior, again, prior_of_pairs, of_pairs, of_pairs_again = judged
    assert torch.equal(prior, encoded[0])
    assert torch.equal(prior, prior_of_pairs)
    assert torch.equal(posterior, again)
    assert torch.equal(of_pairs, of_pairs_again)
    assert len({float(code.sum()) for code in (prior, posterior, of_pairs)}) == 3
    made.step({**images(), "paired": images(seed=1)}, 1)
    assert not torch.equal(judged[6], prior)


def test_the_baseline_cycles_with_the_draw_of_the_translation() -> None:
    made = make("_noise")
    encoded = seen_codes(made, "encoder", "a", 1)
    made.step(images(), 0)
    assert len(encoded) == 2
    assert torch.equal(*encoded)


def test_pairs_teach_what_pairs_belong_together() -> None:
    made = make("_supervised")
    pairs = images(seed=1)
    report = made.step({**images(), "paired": pairs}, 0)
    supervised = {name for name in report if name.startswith("supervised")}
    assert supervised == {
        "supervised_discriminator/code_gan/ab", "supervised/code_gan/ab", "supervised/image/ab", "supervised/image/ba",
    }  # fmt: skip
    assert set(report) - supervised == UNSUPERVISED | TERMS[""]
    other = make("_supervised")
    changed = other.step({**images(), "paired": {"a": pairs["a"], "b": -pairs["b"]}}, 0)
    assert {name for name in report if report[name] != changed[name]} == supervised


def test_the_optimizers_are_two_with_a_fifth_of_the_rate_for_discriminators() -> None:
    made = make("", "phases.discriminator.reuse=~")
    rates = {role: optimizer.lr for entry in made.optimizers for role, optimizer in entry.roles.items()}
    assert rates == {
        "encoder": 2e-4, "decoder": 2e-4, "code_encoder": 2e-4, "discriminator": 4e-5, "code_discriminator": 4e-5,
    }  # fmt: skip
    for entry in made.optimizers:
        assert entry.clip == 500
        for optimizer in entry.roles.values():
            assert [optimizer.schedule.at(step) for step in (0, 38_775, 58_162, 77_550)] == pytest.approx(
                [1, 1, 0.5, 0], abs=1e-4
            )


# ---- what does not fit ---------------------------------------------------------------------------------------------


def test_the_baseline_has_no_codes_of_images() -> None:
    made = make("_noise", dtype=torch.float64)
    with pytest.raises(ForgeError, match="code_encoder"):
        made.encode(images()["b"], "mean", "b")


def test_a_generator_without_a_code_is_noticed() -> None:
    with pytest.raises(UsageError, match=r"code_dim is 0: no code is expected, here is a tensor \(2, 0\)"):
        make("_noise", "networks.encoder.per.a.code_dim=0")
