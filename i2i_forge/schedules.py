"""Schedules: a number as a function of the step, in closed form, so that a resumed run needs no scheduler state.

They are written as calls: `schedule: step(100_000, 0.5)`, `style: linear(0, 1, steps=10_000) * l1(...)`. `step` counts
from 0 and is the number of updates already made.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(value: float = 1.0) -> Schedule:
    """Always `value`."""
    return lambda step: value


def step(every: int, factor: float = 0.5) -> Schedule:
    """Multiplied by `factor` after every `every` steps: factor ** (step // every)."""
    return lambda step: factor ** (step // every)


def linear(start: float, end: float, steps: int, after: int = 0) -> Schedule:
    """From `start` to `end` in a straight line over `steps` steps that begin at step `after`."""
    return lambda step: start + (end - start) * _progress(step, steps, after)


def cosine(start: float, end: float, steps: int, after: int = 0) -> Schedule:
    """From `start` to `end` along half a cosine wave over `steps` steps that begin at step `after`."""
    return lambda step: end + (start - end) * (1 + math.cos(math.pi * _progress(step, steps, after))) / 2


def warmup(steps: int) -> Schedule:
    """From 1/steps up to 1 over the first `steps` steps."""
    return lambda step: min(1.0, (step + 1) / steps)


def _progress(step: int, steps: int, after: int) -> float:
    return min(max(step - after, 0) / steps, 1.0)


SCHEDULES: dict[str, Callable[..., Schedule]] = {f.__name__: f for f in (constant, step, linear, cosine, warmup)}
