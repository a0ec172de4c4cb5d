"""Volumes in one orientation, and back, by flips and permutations only: slices go to S, rows to P, columns to L."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_forge.data.stored import Codes, grid_digest

Affine = tuple[tuple[float, float, float, float], ...]  # three rows
TO_S_P_L = (2, 1, 0)  # the row of an affine that slices, rows and columns follow: x is to L, y to P, z to S


@dataclass(frozen=True)
class Orientation:
    """How the three axes of a file's array lie, and how they are turned: made by `orientation_of`.

    Attributes:
        order: the axes of the file's array that become slices, rows and columns.
        flips: which of slices, rows and columns then run the other way round.
        affine: of the turned array, as `Header.affine`.
        spacing: of its slices, rows and columns in millimetres, as `Header.spacing`.
        letters: where the file's own axes go, the fastest first, as `Header.orientation`: "LPS".
        grid: as `Header.grid`: equal for arrays that lie on one grid after they were turned.
    """

    order: tuple[int, ...]
    flips: tuple[bool, ...]
    affine: Affine
    spacing: tuple[float, float, float]
    letters: str
    grid: str

    def turn(self, codes: Codes) -> Codes:
        """A view of an array *,k,j,i as the file has it, as *,slices,rows,columns."""
        before = range(codes.ndim - 3)
        return self._flip(codes.transpose(*before, *(len(before) + axis for axis in self.order)))

    def turn_back(self, codes: Codes) -> Codes:
        """The inverse of `turn`."""
        before = range(codes.ndim - 3)
        return self._flip(codes).transpose(*before, *(len(before) + int(axis) for axis in np.argsort(self.order)))

    def _flip(self, codes: Codes) -> Codes:
        flipped: Codes = codes[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]
        return flipped


def orientation_of(affine: NDArray[Any], shape: tuple[int, int, int]) -> Orientation:
    """The orientation of a volume. Each axis goes along the anatomical one that is nearest to it.

    Oblique volumes stay oblique. Where two readings are equally near, the faster axis of the file follows L, then P.

    Args:
        affine: 3,4 or 4,4: takes (k, j, i, 1), indices of the file's array whose fastest axis is i, to LPS millimetres.
        shape: of the file's array, k,j,i.

    Raises:
        ValueError: the affine has a NaN or an inf, or its axes lie in a plane.
    """
    affine = np.array(affine, np.float64)[:3]
    steps, origin = affine[:, :3], affine[:, 3]
    with np.errstate(all="ignore"):
        cosines = np.round(steps / np.linalg.norm(steps, axis=0), 6)
    if not (np.isfinite(affine).all() and np.isfinite(cosines).all() and abs(np.linalg.det(cosines)) > 1e-6):
        raise ValueError("its three axes do not span a volume")

    def nearness(order: tuple[int, ...]) -> float:
        return round(sum(abs(float(cosines[row, axis])) for row, axis in zip(TO_S_P_L, order, strict=True)), 5)

    order = max(permutations(range(3)), key=nearness)
    ahead = [cosines[row, axis] >= 0 for row, axis in zip(TO_S_P_L, order, strict=True)]
    for place, axis in enumerate(order):
        if not ahead[place]:
            origin += steps[:, axis] * (shape[axis] - 1)
            steps[:, axis] *= -1
    turned = np.column_stack([*steps[:, order].T, origin]) + 0.0  # no -0.0
    sizes = tuple(shape[axis] for axis in order)
    letters = ["SPL"[place] if ahead[place] else "IAR"[place] for place in np.argsort(order)[::-1]]
    slices, rows, columns = np.linalg.norm(turned[:, :3], axis=0).tolist()
    grid = grid_digest(sizes[1], sizes[2], sizes[0], (np.round(turned, 4) + 0.0).tolist())  # 0.1 micrometres
    return Orientation(
        order, tuple(not each for each in ahead), tuple(map(tuple, turned.tolist())), (slices, rows, columns),
        "".join(letters), grid,
    )  # fmt: skip


__all__ = ["Orientation", "orientation_of"]
