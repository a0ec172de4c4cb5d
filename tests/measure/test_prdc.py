"""Precision, recall, density, coverage: by hand, by their definitions, and the published example."""

import pytest
import torch
from torch import Tensor
from two_sets import measure, normal

from i2i_forge.errors import DataError
from i2i_forge_plugins.metrics import prdc as module
from i2i_forge_plugins.metrics.prdc import Prdc, Shares, prdc


def line(*places: float) -> Tensor:
    return torch.tensor(places, dtype=torch.float64)[:, None]


def by_definition(fakes: Tensor, reals: Tensor, k: int) -> Shares:
    """Pair by pair, borders left out."""

    def radius(rows: Tensor, i: int) -> float:
        return sorted(float((rows[i] - other).norm()) for j, other in enumerate(rows) if j != i)[k - 1]

    around_reals = [radius(reals, i) for i in range(len(reals))]
    around_fakes = [radius(fakes, j) for j in range(len(fakes))]
    apart = [[float((x - y).norm()) for y in fakes] for x in reals]
    inside = [[d < r for d in row] for row, r in zip(apart, around_reals, strict=True)]
    return Shares(
        precision=sum(any(row[j] for row in inside) for j in range(len(fakes))) / len(fakes),
        recall=sum(any(d < r for d, r in zip(row, around_fakes, strict=True)) for row in apart) / len(reals),
        density=sum(map(sum, inside)) / (k * len(fakes)),
        coverage=sum(map(any, inside)) / len(reals),
    )


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_it_is_the_definition(seed: int) -> None:
    fakes, reals = normal(25, 3, seed, shift=0.8), normal(30, 3, seed + 10)
    found, expected = prdc(fakes, reals, 2, border=False), by_definition(fakes, reals, 2)
    assert all(0 < share < 1 for share in (expected.precision, expected.recall, expected.coverage))
    assert vars(found) == pytest.approx(vars(expected))


def test_a_border_belongs_to_the_ball_in_one_convention_only() -> None:
    reals, fakes = line(0, 1, 3), line(2, 12, 22)  # radii for k = 1: 1, 1, 2 and 10, 10, 10; 2 is at 1's border
    assert vars(prdc(fakes, reals, 1, border=False)) == pytest.approx(
        {"precision": 1 / 3, "recall": 1, "density": 1 / 3, "coverage": 1 / 3}
    )
    closed = prdc(fakes, reals, 1, border=True)
    assert closed.density == pytest.approx(2 / 3) and closed.coverage == pytest.approx(2 / 3)


def test_a_tight_cluster_among_wide_real_images_is_precise_and_recalls_little() -> None:
    shares = prdc(normal(300, 8, 0, scale=0.1), normal(300, 8, 1), 5, border=False)
    assert shares.precision > 0.8 and shares.recall < 0.3 and shares.coverage < 0.3
    swapped = prdc(normal(300, 8, 1), normal(300, 8, 0, scale=0.1), 5, border=False)
    assert swapped.precision < 0.3 and swapped.recall > 0.8


def test_equal_distributions_have_density_1_and_coverage_near_1_minus_2_to_minus_k() -> None:
    found = [prdc(normal(500, 6, seed), normal(500, 6, seed + 50), 5, border=False) for seed in range(10)]
    assert sum(shares.density for shares in found) / 10 == pytest.approx(1, abs=0.03)
    assert sum(shares.coverage for shares in found) / 10 == pytest.approx(1 - 2**-5, abs=0.005)


def test_copies_of_the_real_images_lie_in_exactly_k_balls() -> None:
    rows = normal(60, 50, 0) + 100  # far from the origin, where products of rows lose digits
    assert prdc(rows.clone(), rows, 5, border=False) == Shares(precision=1, recall=1, density=1, coverage=1)


@pytest.mark.slow
def test_the_example_of_the_published_code() -> None:
    shares = prdc(normal(10_000, 1000, 0), normal(10_000, 1000, 1), 5, border=False)
    assert (shares.precision, shares.recall, shares.coverage) == pytest.approx((0.4772, 0.4705, 0.9735), abs=0.02)
    assert shares.density == pytest.approx(1.0555, abs=0.15)  # theirs has no seed; 0.08 is one deviation at 3000 rows


def test_the_improved_protocol_is_torch_fidelitys() -> None:
    oracle = pytest.importorskip("torch_fidelity.metric_prc")
    fakes, reals = normal(120, 12, 1, scale=0.8), normal(130, 12, 2)
    expected = oracle.prc_features_to_metric(fakes, reals, prc_neighborhood=3, prc_batch_size=50, verbose=False)
    precision, recall = measure(Prdc, fakes, reals, protocol=1)
    assert (precision.metric, recall.metric) == ("precision", "recall")
    assert precision.value == pytest.approx(expected["precision"], rel=1e-6)
    assert recall.value == pytest.approx(expected["recall"], rel=1e-6)


def test_four_numbers_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes, reals = normal(50, 9, 1, shift=0.3), normal(45, 9, 2)
    whole = {outcome.metric: outcome.value for outcome in measure(Prdc, fakes, reals)}
    assert set(whole) == {"precision", "recall", "density", "coverage"}
    monkeypatch.setattr(module, "BLOCK", 7)
    outcomes = measure(Prdc, fakes, reals)
    assert {outcome.metric: outcome.value for outcome in outcomes} == whole
    assert all(outcome.real == 45 for outcome in outcomes)


def test_six_images_are_needed() -> None:
    with pytest.raises(DataError, match="PRDC needs 6 translations and 6 real images at least; there are 9 and 5"):
        measure(Prdc, normal(9, 6, 0), normal(5, 6, 1))
