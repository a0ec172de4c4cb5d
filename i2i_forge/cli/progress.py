"""How far a command is: a live line on a terminal, plain lines otherwise. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli.common import console, note
from i2i_forge.system.files import printable

if TYPE_CHECKING:
    from rich.progress import Progress

LONG = 3 * 3600.0  # seconds that nobody waits for at a processor without being told
UNITS = {"year": 365 * 86400, "day": 86400, "hour": 3600, "minute": 60, "second": 1}


def about(seconds: float) -> str:
    """A duration in the largest unit of which it has one and a half: "about 2 days"."""
    unit = next((unit for unit, length in UNITS.items() if seconds >= 1.5 * length), "second")
    count = max(1, round(seconds / UNITS[unit]))
    return f"about {count:,} {unit}{'s' * (count > 1)}"


class Counted:
    """Counts what is done: on a terminal a line that is rewritten; otherwise one every ten seconds.

    Args:
        unit: what is counted.
        scale: how many make one of the unit.
        quiet: nothing is shown.
        last: whether the end is shown even when nobody watches.
    """

    def __init__(self, unit: str = "images", scale: float = 1, *, quiet: bool = False, last: bool = False) -> None:
        self.unit, self.scale, self.quiet, self.last = unit, scale, quiet, last
        self.live, self.done = sys.stderr.isatty(), 0
        self.began = self.said = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """How much is done, of how much."""
        self.done, now, is_last = done, time.monotonic(), done == total
        is_early = now - self.said < (0.2 if self.live else 10)
        if self.quiet or (is_early and not (is_last and (self.live or self.last))):
            return
        self.said = now
        text = printable(self._text(done, total))
        click.echo(f"\r{text} " if self.live and not is_last else "\r" * self.live + text, err=True,
                   nl=is_last or not self.live)  # fmt: skip

    def _text(self, done: int, total: int | None) -> str:
        digits = 0 if self.scale == 1 else 1
        return f"{done / self.scale:,.{digits}f}/{(total or 0) / self.scale:,.{digits}f} {self.unit}"


class Downloaded(Counted):
    """Counts the bytes of a download, with their speed; `name` is what is downloaded."""

    def __init__(self, name: str) -> None:
        super().__init__(last=True)
        self.name = name
        self.first: int | None = None  # what an interrupted download had got

    def __call__(self, done: int, total: int | None) -> None:
        """Bytes that are there, of how many."""
        self.first = done if self.first is None else self.first
        super().__call__(done, total)

    def _text(self, done: int, total: int | None) -> str:
        speed = (done - (self.first or 0)) / max(self.said - self.began, 1e-3)
        of = f" of {total / 1e6:,.1f} MB ({100 * done / total:.0f} %)" if total else " MB"
        return f"{self.name}: {done / 1e6:,.1f}{of}  {speed / 1e6:.1f} MB/s"


class TrainingProgress:
    """Shows a run: step, images per second, time left, losses; and early how long all of it will take.

    Args:
        samples: where its pictures go.
        device: where its steps run: "cpu", "cuda:1".
    """

    def __init__(self, samples: Path, device: str) -> None:
        self.samples, self.device = samples, device
        self._bar: Progress | None = None
        self._steps = self._first = 0
        self._since = 0.0
        self._forecast = False

    def start(self, done: int, steps: int) -> None:
        """The run is about to take steps done+1 ... steps."""
        self._steps, self._first, self._since = steps, done, time.monotonic()
        if sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console(stderr=True))
            self._bar.add_task("", total=steps, completed=done, speed="")
            self._bar.start()

    def step(self, done: int, entry: Mapping[str, Any] | None) -> None:
        """A step is done; `entry` is the record when one was written."""
        if self._bar is not None:
            speed: dict[str, Any] = {"speed": f"{entry['images_per_second']:.3g} images/s"} if entry else {}
            self._bar.update(self._bar.task_ids[0], completed=done, **speed)
        if entry:
            self.note(self._line(entry))
        if done < self._steps and (done == self._first + 1 or not self._forecast):
            self._time(done, is_shown=entry is not None)

    def foresee(self, done: int, seconds_per_step: float) -> None:
        """Say how long the steps that are left take, once."""
        self._forecast, self._since = True, time.monotonic()
        left = seconds_per_step * (self._steps - done)
        self.note(f"{self._steps - done:,} steps of {seconds_per_step:.2g} s take {about(left)} on {self.device}; "
                  f"pictures meanwhile: {self.samples}")  # fmt: skip
        if left > LONG and self.device == "cpu":
            self.note("less work: the recipe with small networks that `forge init DIR` writes for the images in DIR, a "
                      "smaller data.size, fewer --steps")  # fmt: skip

    def note(self, text: str) -> None:
        """Anything else."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            note(text)

    def stop(self) -> None:
        """The run has ended."""
        if self._bar is not None:
            self._bar.stop()

    def _time(self, done: int, *, is_shown: bool) -> None:
        """That it works, after the first step; and from the second, or a slow first one, how long the rest takes."""
        from i2i_forge.run.forecast import SLOW

        now = time.monotonic()
        seconds, self._since = now - self._since, now
        if done == self._first + 1 and not is_shown:
            self.note(f"step {done}/{self._steps}  {seconds:.1f} s for the first")
        if not self._forecast and (done > self._first + 1 or seconds >= SLOW):
            self.foresee(done, seconds)

    def _line(self, entry: Mapping[str, Any]) -> str:
        left = (self._steps - entry["step"]) / max(entry["steps_per_second"], 1e-9)
        means: dict[str, list[float]] = {}  # over the routes
        for name, value in entry.items():
            if "/" in name:
                means.setdefault(name.rpartition("/")[0], []).append(value)
        losses = "  ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in means.items())
        clock = time.strftime("%H:%M:%S", time.gmtime(left % 86400))
        days = f"{int(left // 86400)}d " if left >= 86400 else ""
        speed = f"{entry['images_per_second']:.3g} images/s"
        return f"step {entry['step']}/{self._steps}  {speed}  left {days}{clock}  {losses}"
