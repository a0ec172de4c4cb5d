"""Accuracy, NLL, ECE and temperature against what they must be."""

import math

import pytest
import torch

from i2i_forge.measure.mode_classifier.classifier import fitted_temperature, quality


def drawn(count=20_000, modes=4):
    """Logits, and modes drawn with exactly their probabilities."""
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, modes, generator=random)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]


def test_quality_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = quality(p.log(), torch.tensor([0, 1, 1]))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.6)) / 3)
    assert found["ece"] == pytest.approx((abs(1 - 2 * 0.9) + abs(1 - 0.6)) / 3)


def test_true_probabilities_are_calibrated():
    assert quality(*drawn())["ece"] < 0.01
    logits, modes = drawn()
    assert quality(3 * logits, modes)["ece"] > 0.1


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_the_temperature_undoes_a_scale(scale):
    logits, modes = drawn()
    temperature = fitted_temperature(scale * logits, modes)
    assert temperature == pytest.approx(scale, rel=0.03)
    least = quality(scale * logits / temperature, modes)["nll"]
    assert all(least < quality(scale * logits / (temperature * off), modes)["nll"] for off in (0.97, 1.03))


def test_without_a_mistake_there_is_nothing_to_fit():
    logits = torch.eye(3)[[0, 1, 2]] * 2
    assert fitted_temperature(logits, torch.tensor([0, 1, 2])) == 1
