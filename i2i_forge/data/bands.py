"""One channel of a file: its quantity to what a network sees of it, in float64, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Bend, Channel, Scale


@dataclass(frozen=True)
class Band:
    """One channel of a file, and how its quantity becomes channels of the tensor.

    Attributes:
        channel: its description.
        low, high: the ends of its range in `unit`; NaN as long as they are not known.
    """

    channel: Channel
    low: float
    high: float

    @property
    def width(self) -> int:
        """Channels of the tensor: labels of more than two values have one for each."""
        count = len(self.channel.values or ())
        return count if self.channel.kind == "labels" and count != 2 else 1

    @property
    def is_straight(self) -> bool:
        """Whether values from -1 to 1 are shares of the range."""
        return self.channel.curve == "linear" and self.channel.kind != "labels"

    def converted(self, quantity: Tensor) -> Tensor:
        """The stored quantity in `unit`; NaN where there is no such value."""
        match self.channel.convert:
            case Scale(times=times, plus=plus):
                return quantity * times + plus
            case "db" | "db20" as kind:
                decibels = torch.where(quantity > 0, quantity, torch.nan).log10()
                return decibels * (10 if kind == "db" else 20)
        return quantity

    def stored(self, value: Tensor) -> Tensor:
        """The inverse of `converted`."""
        match self.channel.convert:
            case Scale(times=times, plus=plus):
                return (value - plus) / times
            case "db" | "db20" as kind:
                return 10 ** (value / (10 if kind == "db" else 20))
        return value

    def bent(self, above: Tensor) -> Tensor:
        """The curve at a distance above `low`; a straight line where it is linear."""
        match self.channel.curve:
            case "log1p":
                return above.log1p()
            case "sqrt":
                return above.sqrt()
            case Bend(asinh=float() as scale):
                return (above / scale).asinh()
            case Bend(gamma=float() as power):
                return above**power
        return above

    def straight(self, bent: Tensor) -> Tensor:
        """The inverse of `bent`."""
        match self.channel.curve:
            case "log1p":
                return bent.expm1()
            case "sqrt":
                return bent.square()
            case Bend(asinh=float() as scale):
                return bent.sinh() * scale
            case Bend(gamma=float() as power):
                return bent ** (1 / power)
        return bent

    @property
    def span(self) -> Tensor:
        """The curve at `high`."""
        return self.bent(torch.tensor(self.high - self.low, dtype=torch.float64))

    def seen(self, quantity: Tensor) -> list[Tensor]:
        """What a network sees of a stored quantity, H,W: one channel, or one for each label."""
        kind, values = self.channel.kind, self.channel.values or [0, 1]
        if kind == "grey8":
            return [quantity.float().div(255).sub(0.5).div(0.5)]
        if kind == "labels":
            matches = torch.stack([quantity == value for value in values])
            if not matches.any(0).all():
                odd = quantity[~matches.any(0)].flatten()[0].item()
                raise DataError(f"label {odd:g} is not among {values}", fix="add it to `values` of the domain")
            return [each.double() * 2 - 1 for each in (matches if len(values) != 2 else matches[1:])]
        value = self.converted(quantity)
        if math.isnan(self.low + self.high):
            raise DataError("the range of the images is not known yet", fix="train, or say `range` as two numbers")
        if self.channel.clip == "refuse" and (outside := (value < self.low) | (value > self.high)).any():
            odd, ends = value[outside].flatten()[0].item(), f"{self.low:g}..{self.high:g}"
            raise DataError(f"the value {odd:g} is outside of {ends}", fix="widen `range`, or say clip: clip")
        above = value.clamp(self.low, self.high).sub_(self.low)
        return [self.bent(above).mul_(2 / self.span).sub_(1)]

    def value(self, x: Tensor) -> Tensor:
        """The inverse of `seen`: ...,width,H,W to values ...,H,W in `unit`."""
        if self.channel.kind == "labels":
            values = torch.tensor(self.channel.values or [0, 1], dtype=torch.float64, device=x.device)
            return values[(x[..., 0, :, :] > 0).long() if self.width == 1 else x.argmax(-3)]
        share = (x[..., 0, :, :].double() + 1) / 2
        share = share if self.channel.curve == "linear" else share.clamp(min=0)
        return self.straight(share * self.span.to(x.device)) + self.low


def band_of(channel: Channel) -> Band:
    """A channel with the ends of its range, as far as they are known."""
    if channel.kind in ("rgb8", "grey8"):
        return Band(channel, 0.0, 255.0)
    if channel.kind == "labels":
        values = channel.values or [0, 1]
        return Band(channel, float(min(values)), float(max(values)))
    known = channel.range if isinstance(channel.range, tuple) else (math.nan, math.nan)
    return Band(channel, *known)
