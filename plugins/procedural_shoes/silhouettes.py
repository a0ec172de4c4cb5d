"""The families of silhouettes, and drawing a shape from random numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .heeled import boot, pump
from .laced import hightop, sneaker
from .shapes import Part, Shape, posed
from .slipped import loafer, sandal

FAMILIES: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    family.__name__: family for family in (sneaker, hightop, boot, pump, loafer, sandal)
}


def draw_shape(random: np.random.Generator) -> Shape:
    """A shape from a stream of random numbers: the family, its parameters, the pose."""
    family = tuple(FAMILIES)[int(random.integers(len(FAMILIES)))]
    parts = FAMILIES[family](random)
    return posed(family, parts, float(random.uniform(0.92, 1.0)), random.uniform(-0.012, 0.012, size=2))
