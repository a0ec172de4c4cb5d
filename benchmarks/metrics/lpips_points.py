"""Mean distances of points that resemble each other, with d(a, b) = |a - b|^2, where an fp32 Gram matrix fails.

Points are rows, K,D float32. Some columns at a time are brought to float64, so that they stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from i2i_forge.measure import Moments

COLUMNS = 8192


def moments(rows: Tensor) -> dict[str, Any]:
    """Count, mean, and sum of squared deviations of the rows: what `Moments.merge` takes in."""
    means, spread = [], torch.zeros((), dtype=torch.float64, device=rows.device)
    for part in columns(rows):
        means.append(part.mean(0))
        spread += (part - means[-1]).square().sum()
    return {"count": len(rows), "mean": torch.cat(means), "spread": spread}


def mean_of_all_pairs(seen: Moments) -> float:
    """The mean distance of the K(K-1)/2 pairs of the points seen: 2/(K-1) sum_i |a_i - mean|^2. K must be over 1."""
    assert seen.spread is not None and seen.count > 1
    return 2 * seen.spread.item() / (seen.count - 1)


def pair_matrix(rows: Tensor) -> Tensor:
    """The distances, K,K float64: |a_i|^2 + |a_j|^2 - 2 a_i.a_j of the centred rows."""
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in columns(rows):
        centred = part - part.mean(0)
        gram += centred @ centred.T
    squares = gram.diagonal()
    return (squares[:, None] + squares - 2 * gram).clamp(min=0)


def columns(rows: Tensor) -> Iterator[Tensor]:
    return (part.double() for part in rows.split(COLUMNS, dim=1))
