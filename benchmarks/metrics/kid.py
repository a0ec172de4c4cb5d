"""KID (Binkowski et al. 2018, Demystifying MMD GANs): a distance whose estimate is unbiased for few images too."""

from __future__ import annotations

import torch
from i2i_forge_benchmarks.metrics.two_samples import I2I_TEST, TwoSamples
from torch import Tensor

from i2i_forge.hookspecs import hookimpl
from i2i_forge.metrics import Outcome, Protocol
from i2i_forge.seeding import generator

BLOCK = 1024  # rows of a kernel matrix at a time


class Kid(TwoSamples):
    """The squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3, unbiased, so it may be below 0.

    By default the estimate from all images up to 10,000, with the jackknife's standard error over inputs and over real
    images. The usual protocol averages over random subsets instead; the deviation between them (`std`) is no standard
    error, because subsets overlap.
    """

    direction = "down"
    protocols = (
        I2I_TEST,
        Protocol(
            "subsets-100x1000/1",
            "the mean over 100 random subsets of 1000 images of each side, or of all where there are fewer",
            inputs=None,
            real="test",
            options={"subsets": 100, "size": 1000},
        ),
    )
    least = 3  # the jackknife leaves one out of each, and pairs have to be left

    def compute(self) -> list[Outcome]:
        """One distance. Raises DataError for fewer than three images of a kind."""
        x, y = self.features()
        options = self.protocol.options
        if "subsets" not in options:
            value, se = squared_mmd(x, y)
            return [Outcome(value, se=se, ci_method="jackknife", real=len(y))]
        size = min(options["size"], len(x), len(y))
        pairs = ((_subset(x, size, "translations", i), _subset(y, size, "real", i)) for i in range(options["subsets"]))
        values = torch.tensor([squared_mmd(*pair)[0] for pair in pairs], dtype=torch.float64)
        return [Outcome(float(values.mean()), real=len(y), components={"std": float(values.std()), "size": size})]


def squared_mmd(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The unbiased estimate (Gretton et al. 2012, eq. 3) and its standard error, from (m, D) and (n, D) float64."""
    m, n = len(x), len(y)
    xx, yy = _row_sums(x, x) - _diagonal(x), _row_sums(y, y) - _diagonal(y)  # pairs of different rows
    xy, yx = _row_sums(x, y), _row_sums(y, x)
    value = xx.sum() / (m * (m - 1)) + yy.sum() / (n * (n - 1)) - 2 * xy.mean() / n
    return float(value), float((_variance(xx, xy / n) + _variance(yy, yx / m)).sqrt())


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    """sum_j k(x_i, y_j): (m)."""
    return torch.cat([((rows @ y.T / x.shape[1] + 1) ** 3).sum(1) for rows in x.split(BLOCK)])


def _diagonal(x: Tensor) -> Tensor:
    """k(x_i, x_i): (m)."""
    return (x.square().mean(1) + 1) ** 3


def _variance(within: Tensor, across: Tensor) -> Tensor:
    """The jackknife's variance over the rows of one side.

    Args:
        within: sum_{j != i} k(x_i, x_j), (m).
        across: mean_j k(x_i, y_j), (m).
    """
    left = len(within) - 1
    without = (within.sum() - 2 * within) / (left * (left - 1)) - 2 * (across.sum() - across) / left
    return left * without.var(correction=0)


def _subset(rows: Tensor, size: int, side: str, number: int) -> Tensor:
    order = torch.randperm(len(rows), generator=generator("kid", side, number))
    return rows[order[:size].to(rows.device)]


@hookimpl
def register_components(catalog):
    """One metric."""
    catalog.metrics.add("kid", Kid)
