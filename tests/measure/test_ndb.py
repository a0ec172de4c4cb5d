"""NDB: its test at its level, its clusters, and what it says of distributions that are alike or not."""

import math

import pytest
import torch
from torch import Tensor
from two_sets import measure, normal

from i2i_forge.errors import DataError
from i2i_forge_plugins.metrics.ndb import Ndb, jensen_shannon, k_means, nearest, proportions_differ


def counts(*values: int) -> Tensor:
    return torch.tensor(values).double()


def test_two_proportions_by_hand() -> None:
    # 30 and 48 of 100: pooled 0.39, error 0.0690, z = 2.61; 30 and 42: z = 1.77; the threshold is 1.96
    assert proportions_differ(counts(30, 70), counts(48, 52)).tolist() == [True, True]
    assert proportions_differ(counts(30, 70), counts(42, 58)).tolist() == [False, False]
    assert proportions_differ(counts(0, 50), counts(0, 20)).tolist() == [False, False]


def test_one_distribution_differs_in_alpha_of_the_bins() -> None:
    draws = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        a, b = (torch.randint(100, (5000,), generator=draws).bincount(minlength=100).double() for _ in "ab")
        found.append(float(proportions_differ(a, b).sum()))
    assert sum(found) / 200 == pytest.approx(5, abs=0.6)  # 0.05 * 100; four standard errors of the mean


def test_the_divergence_of_two_distributions() -> None:
    assert jensen_shannon(counts(1, 0), counts(0, 1)) == pytest.approx(math.log(2))
    assert jensen_shannon(counts(1, 0), counts(1, 0)) == 0


def test_clusters_that_are_plain_to_see_are_found() -> None:
    middles = normal(12, 5, 0, scale=50)
    rows = middles.repeat(20, 1).double() + normal(240, 5, 1).double()
    centres = k_means(rows, 12)
    assert torch.equal(torch.bincount(nearest(rows, centres)), torch.full((12,), 20))
    found = centres[nearest(middles.double(), centres)]
    assert torch.allclose(found, rows.view(20, 12, 5).mean(0))
    assert torch.equal(k_means(rows, 12), centres)


def test_no_round_makes_clusters_wider() -> None:
    rows = normal(300, 4, 0).double()
    spreads = []
    for rounds in range(8):
        spreads.append(torch.cdist(rows, k_means(rows, 10, rounds)).min(1).values.square().sum().item())
    assert spreads == sorted(spreads, reverse=True) and spreads[0] > spreads[-1]


def test_rows_that_are_all_alike_make_one_cluster() -> None:
    assert len(k_means(torch.zeros(20, 3, dtype=torch.float64), 5)) == 1


def test_one_distribution_has_about_the_expected_count() -> None:
    found = [measure(Ndb, normal(1500, 3, seed), normal(1500, 3, seed + 100), size=1500)[0] for seed in range(20)]
    assert {(outcome.components["bins"], outcome.components["expected"]) for outcome in found} == {(100, 5.0)}
    assert 2 < sum(outcome.value for outcome in found) / 20 < 7


def test_a_lost_mode_is_a_bin_that_differs() -> None:
    modes = normal(8, 6, 0, scale=30)
    reals = modes.repeat(50, 1) + normal(400, 6, 1)
    fakes = modes[:7].repeat(50, 1) + normal(350, 6, 2)
    [lost], [kept] = measure(Ndb, fakes, reals), measure(Ndb, reals + normal(400, 6, 3, scale=0.1), reals)
    assert lost.value > kept.value
    assert lost.components["jsd_nats"] > 10 * kept.components["jsd_nats"]
    assert lost.components["bins"] == 40 and lost.components["ndb_over_k"] == lost.value / 40
    assert lost.real == 400


def test_twenty_images_are_needed() -> None:
    with pytest.raises(DataError, match="NDB needs 20 translations"):
        measure(Ndb, normal(30, 6, 0), normal(19, 6, 1))
