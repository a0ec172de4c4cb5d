"""What a run tells whoever waits for it, and how long that will be."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from i2i_forge.engine.trainer import Trainer

log = logging.getLogger("i2i_forge")

SLOW = 10.0  # seconds of a first step, of which warming up is a small part
ENOUGH = 2.0  # seconds of steps, for their median


class Progress(Protocol):
    """Shows a run to whoever waits for it."""

    def start(self, done: int, steps: int) -> None: ...
    def foresee(self, done: int, seconds_per_step: float) -> None: ...
    def step(self, done: int, entry: Mapping[str, Any] | None) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


class Shown:
    """Passes on what happens. A progress that fails is set aside: it must not cost the run."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress

    def __call__(self, event: str, *arguments: Any) -> None:
        """Call a method of the progress, if it has it."""
        if not hasattr(self.progress, event):
            return
        try:
            getattr(self.progress, event)(*arguments)
        except Exception as error:
            self.progress = None
            log.warning("nothing more is shown: %s: %s", type(error).__name__, error)


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
