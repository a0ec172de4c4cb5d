"""Laced shoes with rubber soles: sneaker and high-top. Toe at x = 0, heel at x = 1, ground at y = 0."""

from __future__ import annotations

import numpy as np

from .curves import Curve, join, moved, offset, part_of, spline, ticks, y_at
from .shapes import ACCENT, LINING, SOLE, UPPER, Part


def _rubber_sole(t: float, spring: float, flare: float) -> tuple[Curve, Curve]:
    """A sole of thickness t: (its outline, its upper edge from toe to heel)."""
    top = spline((0.012, spring + 0.9 * t), (0.14, 0.4 * spring + t), (0.42, 0.9 * t), (0.72, t), (0.99, 1.3 * t))
    heel = spline((0.99, 1.3 * t), (1.01 + flare, 1.05 * t), (1.012 + flare, 0.45 * t), (0.97, 0.0))
    bottom = spline((0.97, 0.0), (0.6, 0.0), (0.3, 0.0), (0.14, 0.25 * spring), (0.05, spring))
    toe = spline((0.05, spring), (0.0, spring + 0.25 * t), (-0.012, spring + 0.6 * t), (0.012, spring + 0.9 * t))
    return join(top, heel, bottom, toe), top


def sneaker(random: np.random.Generator) -> list[Part]:
    """A low running shoe: thick sole, laces, padded collar."""
    t, spring, flare = random.uniform((0.09, 0.01, 0.0), (0.145, 0.05, 0.03)).tolist()
    high, box, tongue = random.uniform((0.41, 0.10, 0.53), (0.52, 0.14, 0.62)).tolist()
    sole, top = _rubber_sole(t, spring, flare)
    toe = spring + 0.8 * t + box
    front = spline((0.022, spring + 0.7 * t), (0.026, toe - 0.6 * box), (0.075, toe - 0.12 * box), (0.15, toe),
                   (0.25, toe + 0.03))  # fmt: skip
    throat = spline((0.25, toe + 0.03), (0.37, toe + 0.5 * (high - toe)), (tongue, high + 0.02))
    collar = spline((tongue, high + 0.02), (tongue + 0.1, high - 0.07), (0.84, high - 0.07), (0.945, high + 0.01))
    heel = spline((0.945, high + 0.01), (0.975, high + 0.035), (0.985, high - 0.01), (0.965, 0.7 * high),
                  (0.99, 0.42 * high), (0.985, 0.9 * t))  # fmt: skip
    far = spline((tongue, high + 0.02), (tongue + 0.13, high - 0.01), (0.85, high - 0.012), (0.945, high + 0.015))
    flap = spline((tongue - 0.08, high - 0.08), (tongue - 0.035, high + 0.05), (tongue + 0.015, high + 0.085),
                  (tongue + 0.06, high + 0.04), (tongue + 0.09, high - 0.06))  # fmt: skip
    edge = offset(part_of(throat, 0.1, 0.95), 0.07)
    seams = (
        edge,
        *ticks(part_of(throat, 0.18, 0.88), 5, 0.012, 0.052),
        spline((0.24, toe + 0.03), (0.285, toe - 0.5 * box), (0.25, y_at(top, 0.25))),
        spline((0.79, high - 0.08), (0.84, 0.62 * high), (0.77, y_at(top, 0.77))),
        spline(tuple(edge[-5]), (0.665, 0.5 * high + 0.3 * t), (0.53, y_at(top, 0.53))),
        offset(part_of(collar, 0.15, 0.92), 0.038),
    )
    return [
        Part(LINING, join(far, collar[::-1])),
        Part(ACCENT, flap),
        Part(UPPER, join(front, throat, collar, heel), seams),
        Part(SOLE, sole, (moved(part_of(top, 0.1, 0.97), 0.0, -0.5 * t),)),
    ]


def hightop(random: np.random.Generator) -> list[Part]:
    """A canvas basketball shoe: flat sole, rubber toe cap, laces up to the ankle."""
    t, spring, ankle = random.uniform((0.08, 0.0, 0.47), (0.12, 0.015, 0.54)).tolist()
    high, box, lean = random.uniform((0.62, 0.08, -0.03), (0.80, 0.11, 0.03)).tolist()
    sole, top = _rubber_sole(t, spring, 0.008)
    toe, shin = spring + 0.8 * t + box, ankle + lean
    front = spline((0.022, spring + 0.7 * t), (0.022, toe - 0.6 * box), (0.06, toe - 0.1 * box), (0.13, toe + 0.01),
                   (0.23, toe + 0.035))  # fmt: skip
    throat = spline((0.23, toe + 0.035), (0.35, toe + 0.13), (ankle - 0.03, 0.62 * high), (shin, high))
    collar = spline((shin, high), (0.75 + lean, high - 0.03), (0.97 + lean, high + 0.02))
    heel = spline((0.97 + lean, high + 0.02), (0.945, 0.6 * high), (0.985, 0.3 * high), (0.985, 0.9 * t))
    far = spline((shin, high), (0.75 + lean, high + 0.025), (0.97 + lean, high + 0.02))
    flap = spline((shin - 0.012, high - 0.08), (shin - 0.02, high + 0.03), (shin + 0.03, high + 0.085),
                  (shin + 0.09, high + 0.07), (shin + 0.12, high - 0.04))  # fmt: skip
    cap_edge = spline((0.23, toe + 0.035), (0.27, toe - 0.4 * box), (0.235, y_at(top, 0.235) - 0.02))
    turn, radius = np.linspace(0.0, 2 * np.pi, 24, endpoint=False), 0.06
    patch = np.stack([0.79 + 0.5 * lean + radius * np.cos(turn), 0.66 * high + radius * np.sin(turn)], axis=1)
    edge = offset(part_of(throat, 0.12, 1.0), 0.08)
    seams = (
        edge,
        *ticks(part_of(throat, 0.18, 0.94), 7, 0.012, 0.058),
        spline((0.925 + lean, high), (0.895, 0.6 * high), (0.925, y_at(top, 0.925))),
        spline(tuple(edge[5]), (0.44, toe - 0.3 * box), (0.5, y_at(top, 0.5))),
    )
    return [
        Part(LINING, join(far, collar[::-1])),
        Part(ACCENT, flap),
        Part(UPPER, join(front, throat, collar, heel), seams),
        Part(ACCENT, join(front, cap_edge)),
        Part(ACCENT, patch),
        Part(SOLE, sole, (moved(part_of(top, 0.02, 1.0), 0.0, -0.45 * t),)),
    ]
