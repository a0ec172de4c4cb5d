"""Smooth curves through a few points: what every silhouette is made of."""

from __future__ import annotations

import numpy as np

Point = tuple[float, float]
Curve = np.ndarray  # float64, (points, 2)


_T = np.linspace(0.0, 1.0, 8, endpoint=False)
_HERMITE = np.stack([2 * _T**3 - 3 * _T**2 + 1, _T**3 - 2 * _T**2 + _T, 3 * _T**2 - 2 * _T**3, _T**3 - _T**2], axis=1)


def spline(*points: Point) -> Curve:
    """A centripetal Catmull-Rom curve through the points; centripetal, so that uneven spacing makes no loops."""
    knots = np.array(points, dtype=np.float64)
    chords = knots[1:] - knots[:-1]
    steps = np.sqrt(np.hypot(chords[:, 0], chords[:, 1]))[:, None]
    tangents = np.empty_like(knots)
    tangents[0], tangents[-1] = chords[0] / steps[0], chords[-1] / steps[-1]
    tangents[1:-1] = (knots[2:] - knots[:-2]) / (steps[1:] + steps[:-1])
    spans = np.empty((len(steps), 4, 2))
    spans[:, 0], spans[:, 1] = knots[:-1], steps * tangents[:-1]
    spans[:, 2], spans[:, 3] = knots[1:], steps * tangents[1:]
    curve = np.empty((8 * len(steps) + 1, 2))
    np.matmul(_HERMITE, spans, out=curve[:-1].reshape(-1, 8, 2))
    curve[-1] = knots[-1]
    return curve


def join(*curves: Curve) -> Curve:
    """The curves one after the other; where two meet there may be a corner."""
    return np.concatenate(curves)


def line(*points: Point) -> Curve:
    """Straight pieces through the points."""
    return np.asarray(points, dtype=np.float64)


def normals(curve: Curve) -> Curve:
    """Unit normals, to the right of the direction of travel (y points up)."""
    ahead = np.empty_like(curve)
    ahead[1:-1], ahead[0], ahead[-1] = curve[2:] - curve[:-2], curve[1] - curve[0], curve[-1] - curve[-2]
    right = ahead[:, ::-1] * (1.0, -1.0)
    return np.asarray(right / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None])


def part_of(curve: Curve, start: float, stop: float) -> Curve:
    """The piece between two fractions of the curve's points."""
    last = len(curve) - 1
    return curve[round(start * last) : round(stop * last) + 1]


def offset(curve: Curve, distance: float) -> Curve:
    """The curve moved to its right by `distance`."""
    return np.asarray(curve + distance * normals(curve))


def ticks(curve: Curve, count: int, before: float, after: float) -> list[Curve]:
    """`count` short strokes across the curve, from `before` on its left to `after` on its right: laces, stitches."""
    where = np.linspace(0, len(curve) - 1, count).round().astype(int)
    across = normals(curve)[where]
    return [np.stack([p - before * n, p + after * n]) for p, n in zip(curve[where], across, strict=True)]


def moved(curve: Curve, x: float, y: float) -> Curve:
    """The curve moved by (x, y)."""
    return np.asarray(curve + np.array([x, y]))


def y_at(curve: Curve, x: float) -> float:
    """The curve's height at x; the curve must run in one horizontal direction."""
    ordered = curve[np.argsort(curve[:, 0])]
    return float(np.interp(x, ordered[:, 0], ordered[:, 1]))
