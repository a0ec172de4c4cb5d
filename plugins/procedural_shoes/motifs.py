"""Patterns as polygons over a box, in shoe units: coarse enough to be read when a shoe is 50 pixels long."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .curves import Curve, moved
from .shapes import Box

Motif = list[tuple[Curve, int]]  # closed outlines with a strength from 0 to 255
Phase = tuple[float, float]  # where the pattern starts, in periods


def _grid(box: Box, step_x: float, step_y: float, phase: Phase) -> list[tuple[float, float, int, int]]:
    """The centres (x, y, column, row) of a grid that covers the box."""
    left, bottom, right, top = box
    columns = range(-1, math.ceil((right - left) / step_x) + 2)
    rows = range(-1, math.ceil((top - bottom) / step_y) + 2)
    return [(left + (i + phase[0]) * step_x, bottom + (j + phase[1]) * step_y, i, j) for j in rows for i in columns]


def solid(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """Nothing."""
    return []


def stripes(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """Bands that lean."""
    left, bottom, right, top = box
    step, lean = 0.15 * pitch, (0.35 + 0.15 * slant) * (top - bottom)
    starts = np.arange(left - abs(lean) - step, right + step, step) + phase[0] * step
    return [
        (np.array([(x, bottom), (x + 0.45 * step, bottom), (x + lean + 0.45 * step, top), (x + lean, top)]), 255)
        for x in starts
    ]


def dots(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """Discs in staggered rows."""
    step = 0.145 * pitch
    turn = np.linspace(0.0, 2 * np.pi, 12, endpoint=False)
    disc = 0.30 * step * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return [(moved(disc, x + 0.5 * step * (j % 2), y), 255) for x, y, _, j in _grid(box, step, 0.8 * step, phase)]


def checks(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """A chessboard."""
    step = 0.095 * pitch
    square = 0.5 * step * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    return [(moved(square, x, y), 255) for x, y, i, j in _grid(box, step, step, phase) if (i + j) % 2]


def diamonds(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """Lozenges, taller than wide, that touch at their tips."""
    wide, high = 0.15 * pitch, 0.21 * pitch
    lozenge = 0.5 * np.array([(-wide, 0), (0, -high), (wide, 0), (0, high)])
    return [(moved(lozenge, x, y), 255) for x, y, _, _ in _grid(box, wide, high, phase)]


def zigzag(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """Rows of chevrons."""
    left, bottom, right, top = box
    step, tall, thick = 0.16 * pitch, 0.085 * pitch, 0.07 * pitch
    x = np.arange(left - 2 * step, right + 2 * step, 0.5 * step) + phase[0] * step
    wave = np.where(np.arange(len(x)) % 2 == 0, 0.0, tall)
    rows = np.arange(bottom - 0.2, top + 0.2, 0.155 * pitch) + phase[1] * 0.155 * pitch
    return [(np.concatenate([np.stack([x, y + wave], 1), np.stack([x, y + wave + thick], 1)[::-1]]), 255) for y in rows]


def two_tone(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """A light saddle in the middle; toe and heel keep the base."""
    left, bottom, right, top = box
    wide = right - left
    start, stop = left + (0.26 + 0.06 * phase[0]) * wide, left + (0.84 + 0.05 * phase[1]) * wide
    lean = 0.08 * slant * wide
    height = np.linspace(bottom, top, 9)
    bow = 0.06 * np.sin(np.linspace(0.0, np.pi, 9))
    front = np.stack([start + lean * np.linspace(-0.5, 0.5, 9) + bow, height], axis=1)
    back = np.stack([stop - lean * np.linspace(-0.5, 0.5, 9) - bow, height], axis=1)
    return [(np.concatenate([front, back[::-1]]), 255)]


def gradient(box: Box, pitch: float, slant: float, phase: Phase) -> Motif:
    """From the base at the heel to the second colour at the toe."""
    left, bottom, right, top = box
    lean = 0.25 * slant * (top - bottom)
    edges = np.linspace(left - abs(lean), right + abs(lean), 65)
    ramp = np.clip(1.15 - 0.2 * phase[0] - np.linspace(0.0, 1.25 * pitch, 64), 0.0, 1.0)
    return [
        (np.array([(a, bottom), (b, bottom), (b + lean, top), (a + lean, top)]), round(255 * strength))
        for a, b, strength in zip(edges[:-1].tolist(), edges[1:].tolist(), ramp.tolist(), strict=True)
    ]


MOTIFS: dict[str, Callable[[Box, float, float, Phase], Motif]] = {
    pattern.__name__: pattern for pattern in (solid, stripes, dots, checks, diamonds, zigzag, two_tone, gradient)
}
