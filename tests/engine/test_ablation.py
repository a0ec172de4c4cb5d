"""What is not minimized is not computed, and leaving a term out changes no other number."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from loaded import CATALOG
from shrink import small
from torch import Tensor, nn

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.optimizers import RoleOptimizer
from i2i_forge.recipe.reading import read_recipe

TINY = [
    *small(content_encoder="blocks=1", style_encoder="", decoder="blocks=1 mlp_dim=8", discriminator=""),
    "data.size=64",
]  # fmt: skip
CYCLE = "phases.generator.minimize.cycle=10 * l1(cycled, source)"
NO_GENERATOR_TERMS = [f"generator.{term}" for term in ("gan", "image", "style", "content", "cycle")]


class Calls:
    """Counts the forward calls of a trainer's networks by name."""

    def __init__(self, trainer: i2i_forge.Trainer) -> None:
        self.counts: Counter[str] = Counter()
        for name, network in trainer.modules():
            network.register_forward_pre_hook(lambda module, inputs, name=name: self.counts.update([name]))


def images() -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(1)
    return {domain: torch.rand(1, 3, 64, 64, generator=draws) * 2 - 1 for domain in ("a", "b")}


def one_step(
    *, set: Sequence[str] = (CYCLE,), drop: Sequence[str] = ()
) -> tuple[dict[str, float], Counter[str], i2i_forge.Recipe]:
    recipe = read_recipe("munit_edge2shoes", set=[*TINY, *set], drop=drop)
    trainer = build_trainer(recipe, CATALOG)
    calls = Calls(trainer)
    return trainer.step(images(), 0), calls.counts, recipe


@pytest.fixture(scope="module")
def full() -> dict[str, float]:
    report, _, _ = one_step()
    return report


@pytest.mark.parametrize(
    ("set", "drop", "count"),
    [
        ((CYCLE,), (), 22),
        ((), (), 20),
        ((), ("generator.style",), 18),
        ((), ("generator.content",), 18),
        ((), ("generator.style", "generator.content"), 16),
        # without image the decoder and the style encoder of the reconstruction rest too
        ((), ("generator.image",), 16),
        ((CYCLE,), ("generator.image",), 20),  # the cycle needs the style
        ((), ("generator.image", "generator.style", "generator.content"), 12),
        ((CYCLE,), ("discriminator.gan",), 16),
    ],
)
def test_network_calls_and_the_other_losses(
    set: tuple[str, ...], drop: tuple[str, ...], count: int, full: dict[str, float]
) -> None:
    report, calls, recipe = one_step(set=set, drop=drop)
    assert calls.total() == count
    traced = trace_recipe(recipe, CATALOG)
    assert traced.network_calls == count
    assert Counter(name for names in traced.calls.values() for name in names) == calls
    kept = {name: value for name, value in full.items() if ".".join(name.split("/")[:2]) not in drop}
    if not set:
        kept = {name: value for name, value in kept.items() if "/cycle/" not in name}
    if "discriminator.gan" in drop:  # the discriminator was not updated before the generator was judged
        del kept["generator/gan/ab"], kept["generator/gan/ba"], report["generator/gan/ab"], report["generator/gan/ba"]
    assert report == kept  # to the bit


def test_a_term_on_one_route_computes_that_route_only(full: dict[str, float]) -> None:
    one_way = "phases.generator.minimize.cycle={ab: '10 * l1(cycled, source)'}"
    report, calls, _ = one_step(set=(one_way,))
    assert calls.total() == 21
    assert report == {name: value for name, value in full.items() if name != "generator/cycle/ba"}


def test_a_zero_weight_is_a_dropped_term(full: dict[str, float]) -> None:
    report, calls, _ = one_step(set=("phases.generator.minimize.cycle=0 * l1(cycled, source)",))
    assert calls.total() == 20
    assert report == {name: value for name, value in full.items() if "/cycle/" not in name}


def test_a_perceptual_loss_of_weight_zero_is_never_made() -> None:
    """Its weights are on no disk here: making it is an error, and a weight of 0 makes nothing."""
    term = (
        "phases.generator.minimize.perceptual={} * domain_invariant_perceptual(translation, source, weights='none.pth')"
    )
    one_step(set=(term.format(0),))
    with pytest.raises(i2i_forge.ForgeError, match=r"none\.pth does not exist"):
        one_step(set=(term.format(1),))


def test_a_term_whose_schedule_is_zero_now_is_not_called_now() -> None:
    calls: list[str] = []

    class Watched(nn.Module):
        def forward(self, translation: Tensor, source: Tensor) -> Tensor:
            calls.append("called")
            return (translation - source).square().mean()

    catalog = load_plugins().catalog
    catalog.losses.add("watched", Watched)
    term = "phases.generator.minimize.watched=linear(0, 1, steps=10, after=1) * watched(cycled, source)"
    trainer = build_trainer(read_recipe("munit_edge2shoes", set=[*TINY, term]), catalog)
    counted = Calls(trainer)
    calls.clear()  # the trace at build
    report = trainer.step(images(), 0)
    assert calls == []
    assert counted.counts.total() == 20
    assert not any("watched" in name for name in report)
    counted.counts.clear()
    assert "generator/watched/ab" in trainer.step(images(), 2)
    assert calls == ["called", "called"]
    assert counted.counts.total() == 22


def test_a_phase_without_terms_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[Any] = []
    step = RoleOptimizer.step
    monkeypatch.setattr(RoleOptimizer, "step", lambda self, *at: (stepped.append(self), step(self, *at))[1])
    recipe = read_recipe("munit_edge2shoes", set=[*TINY, CYCLE], drop=NO_GENERATOR_TERMS)
    trainer = build_trainer(recipe, CATALOG)
    before = {name: value.clone() for name, value in trainer.state_dict().items()}
    calls = Calls(trainer)
    report = trainer.step(images(), 0)
    assert set(report) == {"discriminator/gan/ab", "discriminator/gan/ba"}
    assert calls.counts.total() == 8
    assert [optimizer.names[0].partition(".")[0] for optimizer in stepped] == ["a"]  # one role: the discriminator
    changed = {name.partition(".")[0] for name, value in trainer.state_dict().items() if not value.equal(before[name])}
    assert changed == {"discriminator"}
    assert {key.partition("|")[0] for key in trainer.optimizer_state()} == {"discriminator"}
