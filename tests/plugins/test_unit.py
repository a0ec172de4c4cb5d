"""UNIT: what is computed from what, noise in training only, networks shared by the domains."""

import itertools
import math
from typing import Any

import pytest
import torch
from loaded import CATALOG, recipe_of, trainer_of
from shrink import small
from torch import Tensor

from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trace import Trace
from i2i_forge.errors import ForgeError

TINY = small(encoder="blocks=1", decoder="blocks=1", discriminator="scales=1")


def tiny(*sets: str) -> Any:
    return trainer_of("unit_edges2shoes", *TINY, *sets)


def photos(count: int = 1) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def traced(*sets: str, drop: tuple[str, ...] = ()) -> Trace:
    return trace_recipe(recipe_of("unit_edges2shoes", *TINY, "data.size=64", *sets, drop=drop), CATALOG)


def test_reconstruction_and_translation_share_a_draw_and_the_cycle_has_its_own() -> None:
    needs = traced().needs
    for route in ("ab", "ba"):

        def node(name: str, route: str = route) -> tuple[str, str, str]:
            return "generator", route, name

        assert needs[node("latent")] == [node("content"), node("noise")]
        assert needs[node("reconstruction")] == needs[node("translation")] == [node("latent")]
        assert needs[node("cycled")] == [node("recovered_content"), node("recovered_noise")]


def test_inference_is_deterministic_and_uses_the_mean() -> None:
    trainer, x = tiny(), photos(2)
    first, second = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    y = trainer.translate(x, "ab", generator=first)
    assert torch.equal(y, trainer.translate(x, "ab", generator=second))
    assert torch.equal(trainer.infer("latent", {"a": x}, "ab"), trainer.encode(x, "content", "a"))
    noise = torch.randn(2, 16, 16, 16, generator=first)
    assert not torch.equal(y, trainer.translate(x, "ab", noise=noise))


def test_training_draws_standard_normal_noise_of_the_codes_shape() -> None:
    """With a content of zeros, what both decoders get is the draw; in the next step it is another."""
    trainer, x = tiny("data.batch=2"), photos(2)
    seen: dict[str, list[Tensor]] = {"a": [], "b": []}
    for domain, decoder in trainer.networks["decoder"].items():
        decoder.register_forward_pre_hook(lambda _, given, domain=domain: seen[domain].append(given[0].detach()))
    zeros = {"content": torch.zeros(2, 16, 16, 16)}
    draws: list[Tensor] = []
    for step in range(2):
        seen["a"].clear(), seen["b"].clear()
        trainer.step({"a": x, "b": -x}, step, given={"generator": {"ab": zeros, "ba": zeros}})
        draws += [value for value in seen["a"] if any(torch.equal(value, other) for other in seen["b"])]
    assert len(draws) == 2 * 2  # of each route in each step
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(draws, 2))
    for draw in draws:
        assert draw.shape == (2, 16, 16, 16)
        assert abs(draw.mean().item()) < 0.05 and abs(draw.std().item() - 1) < 0.05
        assert not torch.equal(draw[0], draw[1])


@pytest.mark.parametrize("shared", [("encoder",), ("decoder",), ("encoder", "decoder")], ids=" ".join)
def test_domains_may_share_networks_as_in_the_paper(shared: tuple[str, ...]) -> None:
    trainer, x = tiny(*(f"networks.{role}.per=~" for role in shared)), photos()
    before = {name: value.clone() for name, value in trainer.state_dict().items()}
    report = trainer.step({"a": x, "b": -x}, 0)
    assert len(report) == 12
    assert all(math.isfinite(value) for value in report.values())
    roles = {role: {name.split(".")[1] for name in before if name.startswith(f"{role}.")} for role in trainer.networks}
    assert roles["discriminator"] == {"a", "b"}
    for role in shared:
        assert not {"a", "b"} & roles[role]
    for name, value in trainer.state_dict().items():
        assert not torch.equal(value, before[name]), name  # every network of every role learnt
    if set(shared) == {"encoder", "decoder"}:
        with pytest.raises(AssertionError):
            torch.testing.assert_close(trainer.translate(x, "ab"), x)
        assert torch.equal(trainer.translate(x, "ab"), trainer.translate(x, "ba"))


def test_a_step_runs_its_networks_eighteen_times_and_fourteen_without_the_cycle() -> None:
    assert traced().network_calls == 18
    without = traced(drop=("generator.cycle",))
    assert without.network_calls == 16  # kl_cycle still encodes the translations
    assert traced(drop=("generator.cycle", "generator.kl_cycle")).network_calls == 14


def test_the_discriminator_may_judge_the_generators_images() -> None:
    reused = traced("phases.discriminator.reuse={translation: generator}")
    assert reused.network_calls == 18 - 2
    assert not any(phase == "discriminator" and name == "content" for phase, _, name in reused.calls)


def test_another_tensor_is_refused_by_name() -> None:
    with pytest.raises(ForgeError, match="no tensor 'random_style'"):
        tiny().translate(photos(), "ab", random_style=torch.zeros(1, 8))
