"""What a shoe's geometry is: parts in painter's order and their pose. It knows nothing of colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .curves import Curve

LINING, UPPER, SOLE, ACCENT = 1, 2, 3, 4  # roles: what a part is made of

Box = tuple[float, float, float, float]  # left, bottom, right, top in shoe units


@dataclass(frozen=True)
class Part:
    """One piece, which hides what earlier pieces drew below it.

    Args:
        role: LINING, UPPER, SOLE or ACCENT.
        outline: its closed outline, (points, 2).
        seams: thin lines drawn on it.
    """

    role: int
    outline: Curve
    seams: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Pose:
    """From shoe units (x to the right, y up from the ground, one unit is a foot) to fractions of the frame (y down).

    Args:
        scale: (x, y) factors; y's is negative.
        shift: added after scaling.
    """

    scale: Curve
    shift: Curve

    def __call__(self, points: Curve) -> Curve:
        return np.asarray(points * self.scale + self.shift)


@dataclass(frozen=True)
class Shape:
    """A posed shoe, toe to the left.

    Args:
        family: the name of its family of silhouettes.
        parts: in fractions of the frame, x to the right and y down.
        pose: how they came there.
        box: the shoe's bounds before that, in shoe units.
    """

    family: str
    parts: tuple[Part, ...]
    pose: Pose
    box: Box


def posed(family: str, parts: list[Part], size: float, nudge: Curve) -> Shape:
    """Parts in shoe units, centred in the frame; `size` is relative to the largest that keeps the margin."""
    points = np.concatenate([part.outline for part in parts])
    low, high = points.min(axis=0), points.max(axis=0)
    # Tall shoes are limited by their height, long ones by their length.
    scale = size * float((np.array([0.88, 0.84]) / (high - low)).min()) * np.array([1.0, -1.0])
    pose = Pose(scale, 0.5 - scale * (low + high) / 2 + nudge)
    placed = tuple(Part(part.role, pose(part.outline), tuple(map(pose, part.seams))) for part in parts)
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    return Shape(family, placed, pose, (left, bottom, right, top))
