"""Losses that need a network, taken by recipes alone."""

import math

import pytest
import torch
from loaded import trainer_of
from shrink import small

TINY = small(content_encoder="blocks=1", style_encoder="", decoder="blocks=1", discriminator="")
TERMS = [
    "phases.discriminator.minimize.gan=1 * wgan_discriminator(real_logits, fake_logits)",
    "phases.generator.minimize.gan=1 * wgan_generator(fake_logits)",
    "phases.discriminator.minimize.penalty=10 * gradient_penalty(discriminator, target, translation)",
    "phases.discriminator.minimize.r1=5 * r1(discriminator, target)",
    "phases.generator.minimize.features=1 * feature_matching(discriminator, translation, target)",
    "phases.generator.minimize.variety=1 * mode_seeking(translation, translation_2, random_style, random_style_2)",
]


def images() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {domain: torch.rand(2, 3, 64, 64, generator=draws) * 2 - 1 for domain in ("a", "b")}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_penalties_and_matching_join_any_objective(precision: str) -> None:
    trainer = trainer_of("munit_synthetic", *TINY, *TERMS, f"precision={precision}")
    for step in range(2):
        report = trainer.step(images(), step)
        assert {"discriminator/penalty/ab", "discriminator/r1/ba", "generator/features/ab"} <= set(report)
        assert all(math.isfinite(value) for value in report.values())


def test_a_penalty_changes_nothing_else_of_the_first_turn() -> None:
    """Its draws are its own: with it, the other losses of the step's first phase are the same to the bit."""
    plain, more = (trainer_of("munit_synthetic", *TINY, *terms) for terms in (TERMS[:2], TERMS))
    key = "discriminator/gan/ab"
    assert plain.step(images(), 0)[key] == more.step(images(), 0)[key]
