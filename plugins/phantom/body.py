"""The subjects: bodies of ellipses, with lungs or an abdomen, spine, ribs and skin of fat, in CT and two MR contrasts.

Nothing but NumPy and seeds: the same subject is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SEED = 20261130
SUBJECTS, SLICES, SIDE = 8, 16, 64
TRAINING = range(6)  # the other subjects are test subjects
SPACING = (5.0, 2.0, 2.0)  # millimetres between slices, rows and columns
FIRST_LUNG, MIDDLE = SLICES // 3, SLICES // 2  # slices: the abdomen lies below the lungs, a lesion about the middle
CT_NOISE, CT_RANGE = 12.0, (-1024, 3071)  # HU
MR_NOISE = 0.02  # of the gain

Array = NDArray[Any]


class Tissue(NamedTuple):
    """What scanners see of a tissue: its CT number in HU, proton density and T1 weight in [0, 1]."""

    hounsfield: int
    density: float
    t1: float


# A label is a place in this table.
TISSUES = {
    "air": Tissue(-1000, 0.0, 1.0),
    "fat": Tissue(-100, 0.9, 0.9),
    "muscle": Tissue(50, 0.6, 0.35),
    "lung": Tissue(-750, 0.1, 0.2),
    "bone": Tissue(700, 0.05, 0.1),
    "fluid": Tissue(10, 1.0, 1.0),
    "lesion": Tissue(120, 0.8, 0.7),
}
LABELS = {name: label for label, name in enumerate(TISSUES)}


class Ellipse(NamedTuple):
    """In halves of the image's side, y down: its centre, its half axes, and how far it is turned, in radians."""

    cy: float
    cx: float
    ry: float
    rx: float
    turn: float = 0.0

    def covers(self, y: Array, x: Array) -> Array:
        """Where it is."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        u = (x - self.cx) * cos + (y - self.cy) * sin
        v = -(x - self.cx) * sin + (y - self.cy) * cos
        inside: Array = (u / self.rx) ** 2 + (v / self.ry) ** 2 <= 1
        return inside


def subject(number: int) -> dict[str, Array]:
    """The images of one subject, each (16, 64, 64): slices upwards, rows to the back, columns to the patient's left.

    ct: int16, HU. mr, mr2: uint16, weighted by T1 and by its opposite, without a unit: each subject has its own gain.
    label: uint8, places in TISSUES. mask: uint8, 1 in the body.

    Args:
        number: 0 to 7; odd ones have a lesion.
    """
    drawn = np.random.default_rng([SEED, number]).random(12)
    noise = np.random.default_rng([SEED, number, 1])
    label = _labels(drawn, has_lesion=number % 2 == 1)
    hounsfield, density, t1 = (np.array(column)[label] for column in zip(*TISSUES.values(), strict=True))
    ct = np.rint(hounsfield + CT_NOISE * noise.standard_normal(label.shape)).clip(*CT_RANGE).astype(np.int16)
    gain = 400 + 800 * drawn[8]
    received = gain * _field(drawn[7]) * density
    return {
        "ct": ct,
        "mr": _rician(received * t1, MR_NOISE * gain, noise),
        "mr2": _rician(received * (1 - 0.8 * t1), MR_NOISE * gain, noise),
        "mask": (label != LABELS["air"]).astype(np.uint8),
        "label": label,
    }


def _grid() -> tuple[Array, Array, Array]:
    """Heights of slices in [-1, 1]; y and x of pixels in halves of the side from the centre."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / (SIDE / 2)
    return np.linspace(-1, 1, SLICES), y, x


def _labels(drawn: Array, *, has_lesion: bool) -> Array:
    heights, y, x = _grid()
    label = np.zeros((SLICES, SIDE, SIDE), np.uint8)
    for z, height in enumerate(heights):
        for tissue, ellipse in _organs(drawn, z, height, has_lesion):
            label[z][ellipse.covers(y, x)] = LABELS[tissue]
    return label


def _organs(drawn: Array, z: int, height: float, has_lesion: bool) -> Iterator[tuple[str, Ellipse]]:
    """What a slice shows, from the skin inwards: later ones lie over earlier ones."""
    width = np.sqrt(1 - 0.3 * height**2)  # the trunk is narrower at both ends
    ry, rx = (0.60 + 0.08 * drawn[0]) * width, (0.74 + 0.08 * drawn[1]) * width
    yield "fat", Ellipse(0.02, 0, ry, rx)
    yield "muscle", Ellipse(0.02, 0, ry - 0.09, rx - 0.09)
    if z < FIRST_LUNG:
        yield "fluid", Ellipse(-0.1, 0.15 * drawn[4], 0.22 * width, 0.30 * width)
    else:
        for side in (-1, 1):
            centre = side * (0.32 + 0.04 * drawn[2])
            yield "lung", Ellipse(-0.05, centre, 0.30 * width, 0.17 * width, side * 0.2 * drawn[3])
    yield "bone", Ellipse(0.38 * width, 0, 0.10, 0.11)
    yield "fluid", Ellipse(0.38 * width, 0, 0.035, 0.035)
    for side in (-1, 1):
        yield "bone", Ellipse(0.05, side * (rx - 0.05), 0.16, 0.025)
    if has_lesion and abs(z - MIDDLE) <= 2:
        yield "lesion", Ellipse(0.1 - 0.3 * drawn[5], 0.4 * (drawn[6] - 0.5), 0.07, 0.07)


def _field(direction: float) -> Array:
    """The coil's uneven sensitivity: 1 in the middle, a quarter more on one side, less on the other."""
    heights, y, x = _grid()
    slope = x * np.cos(6.28 * direction) + y * np.sin(6.28 * direction)
    field: Array = 1 + 0.25 * slope * (1 + 0.2 * heights[:, None, None])
    return field


def _rician(signal: Array, deviation: float, noise: np.random.Generator) -> Array:
    """The magnitude of a signal with normal noise on its real and imaginary part, uint16."""
    real, imaginary = (deviation * noise.standard_normal(signal.shape) for _ in range(2))
    return np.rint(np.hypot(signal + real, imaginary)).astype(np.uint16)
