"""KID (Binkowski et al. 2018, Demystifying MMD GANs): a distance whose estimate is unbiased for few images too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Outcome, Protocol
from i2i_forge.system import generator
from i2i_forge_plugins.metrics.two_samples import I2I_TEST, TwoSamples

BLOCK = 1024  # rows of a kernel matrix at a time


class Kid(TwoSamples):
    """KID: the squared MMD under the kernel (x.y / D + 1)^3. It is unbiased, so it may be below 0.

    By default the estimate from all images up to 10,000, with the jackknife's standard error, which leaves out an input
    with all its translations, or a real image; where the distance is 0 it is about a third too large. The usual
    protocol averages over random subsets instead; the deviation between them (`std`) is no standard error, because
    subsets overlap.
    """

    direction = "down"
    sees = "rgb"
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
            inputs = Counter(number for number, _ in self.fakes.table()[0])
            value, se = with_error(x, y, list(inputs.values()))
            return [Outcome(value, se=se if isfinite(se) else None, ci_method="jackknife", real=len(y))]
        size = min(options["size"], len(x), len(y))
        pairs = ((_subset(x, size, "translations", i), _subset(y, size, "real", i)) for i in range(options["subsets"]))
        values = torch.tensor([squared_mmd(*pair) for pair in pairs], dtype=torch.float64)
        return [Outcome(float(values.mean()), real=len(y), components={"std": float(values.std()), "size": size})]


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate (Gretton et al. 2012, eq. 3) from (m, D) and (n, D), float64."""
    return _estimate(_sums(x, y), _sums(y, x))


def with_error(x: Tensor, y: Tensor, draws: Sequence[int]) -> tuple[float, float]:
    """The estimate and its standard error; nan for the error where all of x is of one input.

    Args:
        x, y: (m, D) and (n, D), float64.
        draws: how many consecutive rows of x are of each input.
    """
    of_x, of_y = _sums(x, y), _sums(y, x)
    variance = _variance(x, of_x, draws) + _variance(y, of_y, [1] * len(y))
    return _estimate(of_x, of_y), float(variance.sqrt())


def _sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """sum_{j != i} k(x_i, x_j) and mean_j k(x_i, y_j): (m) each."""
    itself = (x.square().mean(1) + 1) ** 3
    return _row_sums(x, x) - itself, _row_sums(x, y) / len(y)


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([((rows @ y.T / x.shape[1] + 1) ** 3).sum(1) for rows in x.split(BLOCK)])


def _estimate(of_x: tuple[Tensor, Tensor], of_y: tuple[Tensor, Tensor]) -> float:
    (xx, xy), (yy, _) = of_x, of_y
    return float((xx / (len(xx) - 1)).mean() + (yy / (len(yy) - 1)).mean() - 2 * xy.mean())


def _variance(x: Tensor, sums: tuple[Tensor, Tensor], draws: Sequence[int]) -> Tensor:
    """The jackknife's variance over the inputs of one side, whose rows stand together."""
    within, across = sums
    own = torch.stack([_sums(rows, rows)[0].sum() for rows in x.split(draws)])  # pairs inside each input
    pairs, crosses = (torch.stack([part.sum() for part in values.split(draws)]) for values in sums)
    left = len(x) - torch.tensor(draws, device=x.device)  # rows, without each input
    without = (within.sum() - 2 * pairs + own) / (left * (left - 1)) - 2 * (across.sum() - crosses) / left
    return (len(draws) - 1) * without.var(correction=0)


def _subset(rows: Tensor, size: int, side: str, number: int) -> Tensor:
    order = torch.randperm(len(rows), generator=generator("kid", side, number))
    return rows[order[:size].to(rows.device)]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("kid", Kid)
