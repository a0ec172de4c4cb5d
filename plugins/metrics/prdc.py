"""Precision and recall (Kynkaanniemi et al. 2019); density and coverage (Naeem et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Outcome, Protocol
from i2i_forge_plugins.metrics.two_samples import TwoSamples

BLOCK = 1024  # rows of a distance matrix at a time

# Each distance depends on its two rows only, so equal images have distance 0 and ties are ties. The faster way by a
# matrix product lets rounding decide them.
distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")


class Prdc(TwoSamples):
    """Precision, recall, density and coverage: how many images of one side lie near images of the other.

    The ball of an image reaches to the k-th nearest image of its own side.

    precision: of translations in a ball of a real image. recall: of real images in a ball of a translation.
    density: balls of real images that a translation lies in, divided by k; it may be above 1.
    coverage: of real images with a translation in their ball. For k nearest and equal distributions it is 1 - 2^-k.
    """

    direction = "up"
    sees = "rgb"
    protocols = (
        Protocol(
            "prdc-2020/1",
            "k = 5, balls without their border",
            inputs=None,
            real="test",
            is_equal=True,
            options={"k": 5, "border": False, "outcomes": ("precision", "recall", "density", "coverage")},
        ),
        Protocol(
            "improved-2019/1",
            "precision and recall alone, k = 3, balls with their border; the paper's features are VGG-16's",
            inputs=None,
            real="test",
            is_equal=True,
            options={"k": 3, "border": True, "outcomes": ("precision", "recall")},
        ),
    )
    least = 6  # k + 1

    def compute(self) -> list[Outcome]:
        """Up to four shares. Raises DataError for fewer than six images of a kind."""
        fakes, reals = self.features()
        options = self.protocol.options
        shares = prdc(fakes, reals, options["k"], border=options["border"])
        return [Outcome(getattr(shares, name), name, real=len(reals)) for name in options["outcomes"]]


@dataclass(frozen=True)
class Shares:
    """See Prdc."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(fakes: Tensor, reals: Tensor, k: int, *, border: bool) -> Shares:
    """Of (M, D) translations and (N, D) real images."""
    within = torch.le if border else torch.lt
    around_fakes, around_reals = radii(fakes, k), radii(reals, k)
    balls = torch.zeros(len(fakes), dtype=torch.long, device=fakes.device)  # around each translation
    recalled = covered = 0
    for rows, radius in zip(reals.split(BLOCK), around_reals.split(BLOCK), strict=True):
        apart = distances(rows, fakes)
        inside = within(apart, radius[:, None])
        balls += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int(within(apart, around_fakes).any(1).sum())
    return Shares(
        precision=int((balls > 0).sum()) / len(fakes),
        recall=recalled / len(reals),
        density=int(balls.sum()) / (k * len(fakes)),
        coverage=covered / len(reals),
    )


def radii(rows: Tensor, k: int) -> Tensor:
    """The distance of each row to the k-th nearest other one: (N)."""
    nearest = [distances(block, rows).topk(k + 1, largest=False).values[:, -1] for block in rows.split(BLOCK)]
    return torch.cat(nearest)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("prdc", Prdc)
