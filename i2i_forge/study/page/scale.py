"""Axes: where a value lies, and the round numbers beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_FROM = 100.0  # the ratio of the largest to the smallest value from which an axis is logarithmic


@dataclass(frozen=True)
class Scale:
    """Maps low..high to 0..1, linearly or by logarithm; values outside are clamped."""

    low: float
    high: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers from low to high: three to six, or the powers of ten."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        step = _round_step((self.high - self.low) / 3)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale_of(values: Sequence[float]) -> Scale:
    """An axis for values: logarithmic where all are positive and far apart; from 0 where that is near."""
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_FROM:
        return Scale(low, high, is_log=True)
    if 0 <= low < high / 2:
        low = 0.0
    if high - low < 1e-9 * max(abs(high), 1e-30):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    return Scale(low, high)


def short(value: float) -> str:
    """A number for an axis: 1,500 is 1.5k, 0.0002 is 0.0002, 1e-7 is 1e-07."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def _round_step(least: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is no more than `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= least * (1 + 1e-9))
