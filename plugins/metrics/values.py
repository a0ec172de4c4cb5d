"""Errors in the values that images stand for, such as Hounsfield units, inside a mask where there is one.

A group is what must not be parted: the slices of a subject. Its value comes from sums over all pixels of all its
images; it is no mean over images, in which a slice with little of the body would count as much as one with all of it.

    mae      sum |x - y| / n                   n pixels are measured, x and y their values in `unit`
    rmse     sqrt(sum (x - y)^2 / n)
    pearson  sum x'y' / sqrt(sum x'^2 sum y'^2), x' and y' without their means over the group

Channels are measured one by one; the value is the mean over channels, then over groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import Batch, ByGroup, Metric, Outcome, Protocol, Tools, exact, of_groups

VALUES = Protocol(
    "values/1",
    "values in the unit of the images, inside their mask; of each group over all of its pixels, then the mean over "
    "groups; what lies outside of the range counts as its end",
    inputs=None,
    sees="values",
)
BACKGROUND = 0.02  # of the range, above its low end


class InValues(Metric):
    """Base of the measures that compare values with those of the true output.

    Components: `pixels`, how many pixels of all images were measured. Arrays: `by_channel`, groups x channels.
    """

    wants = frozenset({"truths"})
    protocols: ClassVar[Sequence[Protocol]] = (VALUES,)

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.groups = ByGroup()
        self.accumulators = {"groups": self.groups}

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """What adds up, of one image: C,M float64; first how many pixels are measured.

        Args:
            x, y: the values and the true ones, C,H,W float64.
            inside: which pixels are measured, H,W bool.
            low, high: the ends of the range, C,1,1.
        """
        raise NotImplementedError

    def of_sums(self, sums: Tensor) -> Tensor:
        """The measure of each group and channel, G,C, from their sums G,C,M; nan where there is none."""
        raise NotImplementedError

    def update(self, batch: Batch) -> None:
        assert batch.truths is not None
        units = list(dict.fromkeys(band.channel.unit for band in batch.space.bands))
        if batch.space.kind == "labels":
            raise UsageError("labels have no distances from each other", fix="measure images of another kind")
        if self.unit == "values" and len(units) > 1:
            raise UsageError(f"errors in {' and '.join(units)} have no mean", fix="measure psnr, ssim or pearson")
        times = batch.images.shape[1] // len(batch.space.bands)
        ends = [(band.low, band.high) for band in batch.space.bands] * times
        low, high = torch.tensor(ends, dtype=torch.float64).T[..., None, None]
        rows = []
        for index in range(len(batch)):  # each by itself: a batch's sums might be rounded in another order
            x, y = (batch.space.to_values(each[index].cpu()) for each in (batch.images, batch.truths))
            inside = torch.ones(x.shape[1:]) if batch.mask is None else batch.mask[index, 0].cpu()
            with exact():
                rows.append(self.sums(x, y, inside > 0, low, high))
        self.groups.add(batch.inputs, batch.draws, batch.groups, rows)

    def compute(self) -> list[Outcome]:
        """The mean over groups. Raises DataError where no group has a value."""
        groups, sums = self.groups.table()
        each = self.of_sums(sums)
        found = dict(zip(groups, each.mean(1).tolist(), strict=True))
        per_group = {group: value for group, value in found.items() if math.isfinite(value)}
        if not per_group:
            raise DataError("no image has pixels to be measured", fix="look at the masks, and at the images' values")
        outcome = Outcome(sum(per_group.values()) / len(per_group), per_group=per_group, **of_groups(per_group))
        outcome.components = {"pixels": float(sums[:, 0, 0].sum())}
        outcome.arrays = {"by_channel": each[[math.isfinite(value) for value in found.values()]]}
        if left := found.keys() - per_group.keys():
            outcome.warnings.append(f"{len(left)} of {len(found)} groups have no value: nothing is in their masks, or "
                                    "all of it is alike")  # fmt: skip
        return [outcome]


class Mae(InValues):
    """The mean absolute error, in the unit of the images.

    Components: `background`, the share of the measured pixels whose true value lies in the lowest 2 % of the range.
    Where there is no mask, this is air around a body, which is easy and makes the number small.
    """

    direction = "down"
    unit = "values"

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return added((x - y).abs(), (y <= low + BACKGROUND * (high - low)).double(), inside=inside)

    def of_sums(self, sums: Tensor) -> Tensor:
        return sums[..., 1] / sums[..., 0]

    def compute(self) -> list[Outcome]:
        (outcome,) = super().compute()
        total = self.groups.table()[1].sum((0, 1))
        outcome.components["background"] = float(total[2] / total[0])
        return [outcome]


class Rmse(InValues):
    """The root of the mean squared error, in the unit of the images."""

    direction = "down"
    unit = "values"

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return added((x - y).square(), inside=inside)

    def of_sums(self, sums: Tensor) -> Tensor:
        return (sums[..., 1] / sums[..., 0]).sqrt()


class Pearson(InValues):
    """Pearson's correlation of the pixels of a group with those of its true outputs."""

    direction = "up"

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        middle = (low + high) / 2  # so that squares do not hide the deviations, as those of 300 K would
        x, y = x - middle, y - middle
        return added(x, y, x * x, y * y, x * y, inside=inside)

    def of_sums(self, sums: Tensor) -> Tensor:
        n, x, y, xx, yy, xy = sums.unbind(-1)
        spread = (n * xx - x * x).clamp(min=0) * (n * yy - y * y).clamp(min=0)
        return torch.where(spread > 0, (n * xy - x * y) / spread.sqrt(), torch.nan)


def added(*planes: Tensor, inside: Tensor) -> Tensor:
    """How many pixels are inside, and the sums of each of some planes C,H,W over these: C,M.

    NumPy adds up: the order of its additions depends on the number of values alone, and not on that of threads.
    """
    sums = [plane[:, inside].numpy().sum(-1) for plane in planes]
    return torch.from_numpy(np.stack([np.full(len(sums[0]), float(inside.sum())), *sums], -1))


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("mae", Mae)
    catalog.metrics.add("rmse", Rmse)
    catalog.metrics.add("pearson", Pearson)
