"""Figures of the published CycleGAN code, measured in float64 with weights and images given by formulas.

`cyclegan_golden.json` holds them with the formulas (`recipe`). Everything here goes through the public interface; the
image pool's decisions come from Python's generator, as published.
"""

import json
import random
from pathlib import Path

import pytest
from formulas import assert_statistics, close, double, images, weights, with_weights
from shrink import small
from torch import Tensor

import i2i_forge

GOLDEN = json.loads((Path(__file__).parent / "cyclegan_golden.json").read_text())
TINY = [*small(8, encoder="blocks=6", decoder="", discriminator="")]
PHASES = {"G_A": 0.0, "G_B": 0.5, "D_A": 1.0, "D_B": 1.5}
NAMES = {  # theirs -> ours, and our weight: theirs are reported with it
    "D_A": ("discriminator/gan/ab", 0.5), "D_B": ("discriminator/gan/ba", 0.5),
    "G_A": ("generator/gan/ab", 1), "G_B": ("generator/gan/ba", 1),
    "cycle_A": ("generator/cycle/ab", 10), "cycle_B": ("generator/cycle/ba", 10),
    "idt_A": ("generator/identity/ab", 5), "idt_B": ("generator/identity/ba", 5),
}  # fmt: skip
HOLDS = {  # what a published network is made of here
    "G_A": ("encoder.a.", "decoder.b."), "G_B": ("encoder.b.", "decoder.a."),
    "D_A": ("discriminator.b.",), "D_B": ("discriminator.a.",),
}  # fmt: skip


def batch() -> dict[str, Tensor]:
    a, b = images([1, 3, 64, 64], rounded=True)
    return {"a": a, "b": b}


def load(pool: int) -> i2i_forge.Trainer:
    content = {part: weights(GOLDEN["shapes"][part[0]], PHASES[part], rounded=True) for part in PHASES}
    trainer = double("cyclegan_horse2zebra", *TINY, f"state.image_pool.size={pool}")
    return with_weights(trainer, "junyanz-cyclegan", content)


def decide_as_published(trainer: i2i_forge.Trainer) -> list[int | None]:
    """Both pools ask Python's generator, in the order in which they are asked; returns what they decided."""
    decided: list[int | None] = []

    def draw() -> int | None:
        decided.append(random.randint(0, 1) if random.uniform(0, 1) > 0.5 else None)
        return decided[-1]

    for pool in trainer.states["image_pool"].values():
        pool.draw = draw  # type: ignore[method-assign, assignment]
    return decided


def assert_parameter_sums(trainer: i2i_forge.Trainer, expected: dict[str, float]) -> None:
    state = trainer.state_dict()
    assert set(expected) == set(HOLDS)
    for network, total in expected.items():
        own = [value for name, value in state.items() if name.startswith(HOLDS[network])]
        assert close(sum(value.abs().sum().item() for value in own), total), network


def test_a_single_pass_is_that_of_the_published_code() -> None:
    trainer, golden = load(0), GOLDEN["cases"]["pool_0"]
    assert_statistics(trainer.translate(batch()["a"], "ab"), golden["G(A)"])
    assert_statistics(trainer.infer("real_logits", batch(), "ab"), golden["D(B or AB)"])


@pytest.mark.parametrize("pool", [0, 2])
def test_the_training_steps_are_those_of_the_published_code(pool: int) -> None:
    trainer, golden = load(pool), GOLDEN["cases"][f"pool_{pool}"]
    decided = decide_as_published(trainer)
    random.seed(7)
    for step, expected in enumerate(golden["steps"]):
        report = trainer.step(batch(), step)
        assert set(report) == {ours for ours, _ in NAMES.values()}
        for theirs, (ours, weight) in NAMES.items():
            assert close(weight * report[ours], expected[theirs]), (step, theirs)
    assert_parameter_sums(trainer, golden["param_abs_sum_after"])
    if pool:  # filled after two steps; then it both exchanged and let pass
        assert len(decided) == 2 * (len(golden["steps"]) - 2)
        assert None in decided
        assert set(decided) > {None}


def test_the_figures_depend_on_the_pools_decisions() -> None:
    """The check of the check: a pool that always lets pass gives other figures than one that exchanges."""
    trainer, golden = load(2), GOLDEN["cases"]["pool_2"]
    for pool in trainer.states["image_pool"].values():
        pool.draw = lambda: None  # type: ignore[method-assign, assignment]
    reports = [trainer.step(batch(), step) for step in range(6)]
    same = [close(0.5 * r["discriminator/gan/ab"], e["D_A"]) for r, e in zip(reports, golden["steps"], strict=True)]
    assert same[:2] == [True, True]
    assert not all(same)
