"""The records of a run: what metrics.jsonl holds, and the alarm that watches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from i2i_forge.data.stream import Stream
from i2i_forge.run.alarm import Alarm
from i2i_forge.run.folder import RunFolder


class Records:
    """Losses, learning rates, speed and epoch of the steps that are logged.

    Args:
        folder: of the run.
        main: the main stream, whose epochs count.
        images: per step, of all ranks.
        note: is told what whoever waits for the run must know.
    """

    def __init__(self, folder: RunFolder, main: Stream, images: int, note: Callable[[str], None]) -> None:
        self.folder, self.main, self.images, self.note = folder, main, images, note
        self.alarm = Alarm()
        self._writable = True
        self._last = 0, 0.0  # step and time of the last record

    def go_on_after(self, done: int) -> None:
        """Drop the records of steps that are taken again; the alarm knows the others."""
        self.folder.forget_after(done)
        for _, entry in self.folder.records():
            self.alarm.remember({name: loss for name, loss in entry.items() if "/" in name})

    def begin(self, done: int) -> None:
        """Speed is counted from now on."""
        self._last = done, time.monotonic()

    def write(self, done: int, report: Mapping[str, float], rates: Mapping[str, float]) -> dict[str, Any]:
        """Append the record of a step; returns it. A disk that does not take it costs the record, not the run.

        Args:
            done: steps, this one too.
            report: its losses.
            rates: its learning rates by entry of `optimizers`, recorded as "rate.default": no loss has such a name.
        """
        (before, then), now = self._last, time.monotonic()
        self._last = done, now
        self.alarm.remember(report)
        speed = (done - before) / max(now - then, 1e-9)
        entry = {"step": done, "epoch": round(self.main.epoch(done), 4), "steps_per_second": round(speed, 4),
                 "images_per_second": round(speed * self.images, 4),
                 **{f"rate.{name}": rate for name, rate in rates.items()}, **report}  # fmt: skip
        try:
            self.folder.record(entry)
        except OSError as error:
            if self._writable:
                self.note(f"{self.folder.metrics} cannot be written ({error.strerror}); training goes on without it")
            self._writable = False
        return entry
