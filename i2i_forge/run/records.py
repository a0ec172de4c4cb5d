"""The records of a run: what metrics.jsonl holds, and the alarm for losses that explode while they are still finite."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from statistics import fmean, median
from typing import Any

from i2i_forge.data.stream import Stream
from i2i_forge.recipe.reading import Recipe
from i2i_forge.run.folder import RunFolder

WINDOW = 100  # logged values of a term that its loss is compared with
WARM_UP = 30  # logged values before anything is compared
RECENT = 15  # steps whose median is compared: a few bad batches are no alarm
DEVIATIONS = 7.0  # robust standard deviations from what was usual to the line
FLOOR = 0.3  # of the median: the least that counts as a deviation


class Records:
    """Losses, learning rates, speed and epoch of the steps that are logged.

    Args:
        folder: of the run.
        recipe: of the run.
        main: the main stream, whose epochs count.
        note: is told what whoever waits for the run must know.
    """

    def __init__(self, folder: RunFolder, recipe: Recipe, main: Stream, note: Callable[[str], None]) -> None:
        self.folder, self.recipe, self.main, self.note = folder, recipe, main, note
        self._alarm = Alarm()
        self._writable = True
        self._last = 0, 0.0  # step and time of the last record

    def go_on_after(self, done: int) -> None:
        """Drop the records of steps that are taken again; the alarm knows the others."""
        self.folder.forget_after(done)
        for _, entry in self.folder.records():
            self._alarm.remember({name: loss for name, loss in entry.items() if "/" in name})

    def begin(self, done: int) -> None:
        """Speed is counted from now on."""
        self._last = done, time.monotonic()

    def add(self, done: int, report: Mapping[str, float], rates: Mapping[str, float]) -> dict[str, Any] | None:
        """Watch a step, and append its record where one is due; returns it.

        A disk that does not take it costs the record, not the run.

        Args:
            done: steps, this one too.
            report: its losses.
            rates: its learning rates by entry of `optimizers`, recorded as "rate.default": no loss has such a name.
        """
        if self.recipe.run.alarm and (exploding := self._alarm.check(report)):
            self.note(f"alarm at step {done}: {exploding}; `run.alarm: false` turns this off")
        if done % self.recipe.run.log_every and done != self.recipe.steps:
            return None
        (before, then), now = self._last, time.monotonic()
        self._last = done, now
        self._alarm.remember(report)
        speed = (done - before) / max(now - then, 1e-9)
        entry = {"step": done, "epoch": round(self.main.epoch(done), 4), "steps_per_second": round(speed, 4),
                 "images_per_second": round(speed * self.recipe.data.batch, 4),
                 **{f"rate.{name}": rate for name, rate in rates.items()}, **report}  # fmt: skip
        try:
            self.folder.record(entry)
        except OSError as error:
            if self._writable:
                self.note(f"{self.folder.metrics} cannot be written ({error.strerror}); training goes on without it")
            self._writable = False
        return entry


class Alarm:
    """Watches the losses of a run: a note for a term that stays far above what it was.

    A term's line is the median of its last WINDOW logged values plus DEVIATIONS robust standard deviations (from the
    median absolute deviation; where most values are 0 from the mean one: Iglewicz and Hoaglin 1993). It depends on
    logged values alone, so that a resumed run that remembers its records has the lines of an uninterrupted one.
    """

    def __init__(self) -> None:
        self._terms: dict[str, _Term] = {}

    def remember(self, report: Mapping[str, float]) -> None:
        """A report was logged: loss by term."""
        for name, loss in report.items():
            self._terms.setdefault(name, _Term()).remember(loss)

    def check(self, report: Mapping[str, float]) -> str:
        """The note for a step's losses by term, or nothing. A term is named once in WINDOW logged values."""
        found = [f"{name} {text}" for name, loss in report.items()
                 if (term := self._terms.get(name)) and (text := term.check(loss))]  # fmt: skip
        return "; ".join(found[:3]) + (f"; and {len(found) - 3} more terms" if len(found) > 3 else "")


class _Term:
    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=WINDOW)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._line = math.inf
        self._quiet = 0  # logged values until it may be named again

    def remember(self, loss: float) -> None:
        self._past.append(loss)
        self._quiet = max(0, self._quiet - 1)
        if len(self._past) >= WARM_UP:
            self._line = _line(self._past)

    def check(self, loss: float) -> str:
        self._recent.append(loss)
        if self._quiet or loss <= self._line or len(self._recent) < RECENT:
            return ""
        if (now := median(self._recent)) <= self._line:
            return ""
        self._quiet = WINDOW
        return f"has risen to {now:.4g} from {median(self._past):.4g}"


def _line(past: deque[float]) -> float:
    """Above it a loss is far from the median. Infinite for a loss that was always 0: nothing tells what is far."""
    middle = median(past)
    distances = [abs(value - middle) for value in past]
    deviation = max(1.4826 * median(distances), FLOOR * abs(middle)) or 1.2533 * fmean(distances)
    return middle + DEVIATIONS * deviation if deviation else math.inf
