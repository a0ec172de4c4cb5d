"""How long a run will take, before its steps are taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2i_forge.engine.trainer import Trainer

SLOW = 10.0  # seconds of a first step, of which warming up is a small part
ENOUGH = 2.0  # seconds of steps, for their median


def seconds_per_step(trainer: Trainer, batch: Mapping[str, Any]) -> float:
    """How long a step takes here: the median of real ones, so that the trainer is for nothing else afterwards.

    One step warms up and is not counted, unless it is so slow that this does not matter.
    """
    seconds: list[float] = []
    while not seconds or (seconds[0] < SLOW and sum(seconds[1:]) < ENOUGH):
        began = time.monotonic()
        trainer.step(batch, len(seconds))  # its losses are numbers: the device is done
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds[1:] or seconds)
