"""Augmentation beyond flip and crop: exact turns, small rotations and scales, patches of foreground, intensities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from i2i_forge.data.layers import Affine
from i2i_forge.errors import DataError
from i2i_forge.recipe.section import Name, Number, Positive, Section

Share = Annotated[Number, Field(ge=0, le=1)]
Span = tuple[Positive, Positive]
NUMBERS = 12  # drawn for each example, used or not, so that switching one off moves no other


class Jitter(Section):
    """share' = share ** gamma * times + plus, clipped, where share is 0 at the low end of a range and 1 at the high."""

    times: Span = (1.0, 1.0)
    plus: Share = 0.0
    gamma: Span = (1.0, 1.0)
    allow_unit: Annotated[bool, Field(strict=True)] = False
    """Also for values that have a unit, which it changes."""


class Augment(Section):
    """What is drawn for each training example beside its flip and crop. Nothing of it is done in tests."""

    flip_vertical: Annotated[bool, Field(strict=True)] = False
    turns: Annotated[bool, Field(strict=True)] = False
    """By quarters."""
    rotate: Annotated[Number, Field(ge=0, le=180)] = 0.0
    """Degrees to either side."""
    scale: Span = (1.0, 1.0)
    shift: Share = 0.0
    """In parts of a side, to either side."""
    foreground: dict[Name, Share] = {}
    """How often a crop holds a pixel of an image that is above its least: {mask: 0.5}."""
    jitter: dict[Name, Jitter] = {}
    noise: dict[Name, Annotated[Number, Field(ge=0)]] = {}
    """Standard deviation of noise in what a network sees, from -1 to 1."""

    def changed(self) -> set[str]:
        """The images whose intensities are changed."""
        return {*self.jitter, *self.noise}

    def quarters(self, drawn: Sequence[float]) -> tuple[bool, int]:
        """Whether the image is flipped upside down, and by how many quarters it is turned."""
        return self.flip_vertical and drawn[0] < 0.5, int(drawn[1] * 4) if self.turns else 0

    def affine(self, drawn: Sequence[float], height: int, width: int) -> Affine | None:
        """The map from places of the result to places of the image, about its centre; None for none."""
        if not self.rotate and self.scale == (1.0, 1.0) and not self.shift:
            return None
        angle = math.radians(self.rotate * (2 * drawn[2] - 1))
        times = between(self.scale, drawn[3])
        down, right = (
            self.shift * (2 * number - 1) * side for number, side in zip(drawn[4:6], (height, width), strict=True)
        )
        cos, sin, x, y = math.cos(angle) / times, math.sin(angle) / times, width / 2, height / 2
        return (
            cos, sin, x - cos * (x + right) - sin * (y + down),
            -sin, cos, y + sin * (x + right) - cos * (y + down),
        )  # fmt: skip

    def intensities(self, name: str, x: Tensor, drawn: Sequence[float]) -> Tensor:
        """What a network sees of an image, C,H,W in [-1, 1], with other intensities and noise."""
        if jitter := self.jitter.get(name):
            share = ((x.double() + 1) / 2) ** between(jitter.gamma, drawn[9])
            plus = jitter.plus * (2 * drawn[8] - 1)
            x = ((share * between(jitter.times, drawn[7]) + plus).clamp(0, 1) * 2 - 1).float()
        if deviation := self.noise.get(name):
            key = torch.Generator().manual_seed(int(drawn[10] * 2**53))
            x = (x + deviation * torch.randn(x.shape, generator=key)).clamp(-1, 1)
        return x


def between(ends: Span, drawn: float) -> float:
    """A place between two numbers, 0 for the first."""
    return ends[0] + (ends[1] - ends[0]) * drawn


def augmentation(said: Mapping[str, Any] | None) -> Augment | None:
    """What a data set's option `augment` says. Raises DataError."""
    try:
        return Augment.model_validate(said) if said else None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("augment", *first["loc"])))
        known = ", ".join(Augment.model_fields)
        raise DataError(f"{where}: {first['msg']}", fix=f"`augment` has the keys {known}") from error
