"""The material modes, a colour with a pattern each, and the continuous variation inside a mode."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from .motifs import MOTIFS, Motif
from .shapes import Box

Colour = np.ndarray  # float32 (3,), red, green, blue in [0, 1]
Tone = tuple[float, float, float]  # hue, lightness, saturation in [0, 1]


@dataclass(frozen=True)
class Mode:
    """What all shoes of a mode share: the middle of its colours, and its pattern."""

    name: str
    pattern: str
    base: Tone
    second: Tone
    sole: Tone


CREAM, SNOW, CHALK, GUM = (0.12, 0.90, 0.55), (0.58, 0.95, 0.20), (0.10, 0.93, 0.12), (0.08, 0.60, 0.50)
TABLE = (
    Mode("red_solid", "solid", (0.995, 0.45, 0.78), (0.995, 0.45, 0.78), CHALK),
    Mode("blue_stripes", "stripes", (0.605, 0.45, 0.72), SNOW, SNOW),
    Mode("green_dots", "dots", (0.385, 0.36, 0.58), CREAM, CREAM),
    Mode("brown_checks", "checks", (0.065, 0.33, 0.52), (0.095, 0.70, 0.55), GUM),
    Mode("black_two_tone", "two_tone", (0.65, 0.14, 0.10), (0.10, 0.88, 0.22), (0.65, 0.20, 0.08)),
    Mode("yellow_zigzag", "zigzag", (0.135, 0.54, 0.92), (0.62, 0.22, 0.30), CHALK),
    Mode("pink_gradient", "gradient", (0.915, 0.58, 0.82), (0.075, 0.78, 0.95), (0.95, 0.90, 0.50)),
    Mode("violet_diamonds", "diamonds", (0.755, 0.42, 0.48), (0.74, 0.82, 0.60), (0.76, 0.26, 0.30)),
)
MODES = tuple(mode.name for mode in TABLE)
COLOURS = tuple(name.partition("_")[0] for name in MODES)


@dataclass(frozen=True)
class Material:
    """One drawn material: colours, the pattern with its parameters, and the gloss in [0, 1]."""

    base: Colour
    second: Colour
    sole: Colour
    gloss: float
    pattern: str
    pitch: float
    slant: float
    phase: tuple[float, float]

    @property
    def accent(self) -> Colour:
        """Tongue, toe cap, patch: near the sole's colour."""
        return 0.85 * self.sole + 0.15 * self.base

    @property
    def lining(self) -> Colour:
        """The inside: dark, with a hint of the base."""
        return 0.35 * self.base + 0.08

    @property
    def edge(self) -> Colour:
        """Lines: nearly black, with a hint of the base."""
        return 0.18 * self.base + 0.04

    def motif(self, box: Box) -> Motif:
        """The pattern's polygons over a box in shoe units, each with its strength from 0 to 255."""
        return MOTIFS[self.pattern](box, self.pitch, self.slant, self.phase)


def draw_material(mode: int, random: np.random.Generator, *, plain: bool = False) -> Material:
    """A material of the mode from a stream of random numbers; if plain, in the mode's first colour alone."""
    middle = TABLE[mode]
    if plain:
        middle = replace(middle, pattern="solid", second=middle.base)
    hue, light, saturation = random.uniform((-0.02, -0.05, -0.12), (0.02, 0.05, 0.08))
    warm, bright = random.uniform((-0.015, -0.04), (0.015, 0.03))
    phase = random.uniform(0.0, 1.0, size=2)
    return Material(
        base=_colour(middle.base, hue, light, saturation),
        second=_colour(middle.second, warm if middle.pattern != "solid" else hue, bright, 0.0),
        sole=_colour(middle.sole, warm, bright, 0.0),
        gloss=float(random.uniform(0.2, 1.0)),
        pattern=middle.pattern,
        pitch=float(random.uniform(0.88, 1.15)),
        slant=float(random.uniform(-1.0, 1.0)),
        phase=(float(phase[0]), float(phase[1])),
    )


def _colour(tone: Tone, hue: float, light: float, saturation: float) -> Colour:
    h, l, s = tone[0] + hue, tone[1] + light, tone[2] + saturation  # noqa: E741
    return np.array(colorsys.hls_to_rgb(h % 1.0, min(max(l, 0.0), 1.0), min(max(s, 0.0), 1.0)), dtype=np.float32)
