"""Intervals over inputs hold what they promise where inputs differ from one another."""

from __future__ import annotations

import math

import pytest
import torch

from i2i_forge.measure import of_mean, over_inputs, paired

INPUTS, DRAWS = 60, 10


def simulated(trials: int, seed: int = 0) -> torch.Tensor:
    """Values of `trials` experiments, (trials, INPUTS, DRAWS): inputs differ by N(0, 1), their images by N(0, 1/4)."""
    draws = torch.Generator().manual_seed(seed)
    between = torch.randn(trials, INPUTS, 1, generator=draws, dtype=torch.float64)
    return 3 + between + 0.5 * torch.randn(trials, INPUTS, DRAWS, generator=draws, dtype=torch.float64)


def per_input(experiment: torch.Tensor) -> dict[int, float]:
    return dict(enumerate(experiment.mean(1).tolist()))


def test_95_of_100_intervals_hold_the_true_mean() -> None:
    trials = 300
    held = 0
    for experiment in simulated(trials):
        low, high = of_mean(per_input(experiment))["ci95"]
        held += low <= 3 <= high
    # percentile intervals of 60 inputs are a little too short, 94 %; five standard errors of a share
    assert abs(held / trials - 0.945) < 5 * math.sqrt(0.95 * 0.05 / trials)


def test_the_error_is_that_of_inputs_and_not_of_images() -> None:
    experiments = simulated(400)
    errors = [of_mean(per_input(experiment))["se"] for experiment in experiments[:40]]
    observed = experiments.mean((1, 2)).std().item()
    naive = (experiments.flatten(1).std(1) / math.sqrt(INPUTS * DRAWS)).mean().item()
    assert sum(errors) / 40 == pytest.approx(observed, rel=0.15)
    assert min(errors) > 1.5 * naive


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    values = torch.randn(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = of_mean(dict(enumerate(values.tolist())))
    assert found["ci_method"] == "input-bootstrap"
    assert found["se"] == pytest.approx(values.std(correction=0).item() / math.sqrt(200), rel=0.08)
    low, high = found["ci95"]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * found["se"], rel=0.1)


def test_every_replicate_draws_as_many_inputs_as_there_are() -> None:
    seen = []

    def statistic(weights: torch.Tensor) -> torch.Tensor:
        seen.append(weights)
        return weights[:, 0]

    se, (low, high) = over_inputs(statistic, 7, replicates=5000)
    assert seen[0].shape == (5000, 7) and seen[0].dtype == torch.float64
    assert (seen[0].sum(1) == 7).all() and (seen[0] == seen[0].round()).all() and seen[0].min() == 0
    assert torch.allclose(seen[0].mean(0), torch.ones(7, dtype=torch.float64), atol=0.07)
    assert se == pytest.approx(math.sqrt(6 / 7), rel=0.05)  # a binomial of 7 draws
    assert low == 0 and high == 3


def test_the_same_question_has_the_same_answer_and_order_does_not_matter() -> None:
    values = per_input(simulated(1)[0])
    torch.manual_seed(5)
    first = of_mean(values)
    torch.manual_seed(6)
    assert of_mean(dict(reversed(values.items()))) == first


@pytest.mark.parametrize("values", [{}, {4: 0.5}])
def test_too_few_inputs_have_no_interval(values: dict[int, float]) -> None:
    assert of_mean(values) == {}
    se, interval = over_inputs(lambda weights: weights.sum(1), len(values))
    assert all(math.isnan(number) for number in (se, *interval))


def test_a_constant_has_no_error() -> None:
    found = of_mean(dict.fromkeys(range(10), 0.25))
    assert found["se"] == 0 and found["ci95"] == (0.25, 0.25)


def test_pairs_cancel_what_inputs_have_in_common() -> None:
    base = simulated(1)[0].mean(1)
    noise = 0.05 * torch.randn(INPUTS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, b = dict(enumerate(base.tolist())), dict(enumerate((base + 0.1 + noise).tolist()))
    difference, interval = paired(a, b)
    assert interval is not None
    low, high = interval
    assert difference == pytest.approx(0.1 + noise.mean().item())
    assert 0 < low < difference < high < 0.2
    alone = of_mean(a)["ci95"]
    assert high - low < (alone[1] - alone[0]) / 5
    assert paired(b, a)[0] == -difference
    assert paired({0: 1.0}, {0: 1.5}) == (0.5, None)
