"""Schedules: a number as a function of the step, in closed form, so that a resumed run needs no scheduler state.

They are written as calls: `schedule: step(100_000, 0.5)`, `style: linear(0, 1, steps=10_000) * l1(...)`. `step` counts
from 0 and is the number of updates already made. An argument that makes no sense is a ValueError when the call is read.
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
    _refuse_unless(every > 0, "every", every, "more than 0")
    _refuse_unless(0 <= factor <= 1, "factor", factor, "from 0 to 1")
    return lambda step: factor ** (step // every)


def linear(start: float, end: float, steps: int, after: int = 0) -> Schedule:
    """From `start` to `end` in a straight line over `steps` steps that begin at step `after`."""
    progress = _progress(steps, after)
    return lambda step: start + (end - start) * progress(step)


def cosine(start: float, end: float, steps: int, after: int = 0) -> Schedule:
    """From `start` to `end` along half a cosine wave over `steps` steps that begin at step `after`."""
    progress = _progress(steps, after)
    return lambda step: end + (start - end) * (1 + math.cos(math.pi * progress(step))) / 2


def warmup(steps: int) -> Schedule:
    """From 1/steps up to 1 over the first `steps` steps."""
    _refuse_unless(steps > 0, "steps", steps, "more than 0")
    return lambda step: min(1.0, (step + 1) / steps)


def _progress(steps: int, after: int) -> Schedule:
    """From 0 at step `after` to 1 `steps` steps later."""
    _refuse_unless(steps > 0, "steps", steps, "more than 0")
    _refuse_unless(after >= 0, "after", after, "0 or more")
    return lambda step: min(max(step - after, 0) / steps, 1.0)


def _refuse_unless(fine: bool, name: str, value: float, wanted: str) -> None:
    if not fine:
        raise ValueError(f"{name} is {value}, it must be {wanted}")


SCHEDULES: dict[str, Callable[..., Schedule]] = {f.__name__: f for f in (constant, step, linear, cosine, warmup)}
