"""Training progress: a live line on a terminal, plain lines otherwise. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

HIDDEN = ("step", "epoch", "steps_per_second", "images_per_second")


class TrainingProgress:
    """Shows a run: step, images per second, time left, losses."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._steps = 0

    def start(self, done: int, steps: int) -> None:
        """The run is about to take steps done+1 ... steps."""
        self._steps = steps
        if sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=steps, completed=done, speed="")
            self._bar.start()

    def step(self, done: int, entry: Mapping[str, Any] | None) -> None:
        """A step is done; `entry` is the record when one was written."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)
            if entry:
                self._bar.update(self._task, speed=f"{entry['images_per_second']:.3g} images/s")
                self._bar.console.print(self._line(entry), highlight=False)
        elif entry:
            click.echo(self._line(entry), err=True)

    def note(self, text: str) -> None:
        """Anything else."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            click.echo(text, err=True)

    def stop(self) -> None:
        """The run has ended."""
        if self._bar is not None:
            self._bar.stop()

    def _line(self, entry: Mapping[str, Any]) -> str:
        left = (self._steps - entry["step"]) / max(entry["steps_per_second"], 1e-9)
        means: dict[str, list[float]] = {}  # over the routes
        for name, value in entry.items():
            if name not in HIDDEN:
                means.setdefault(name.rpartition("/")[0], []).append(value)
        losses = "  ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in means.items())
        clock = time.strftime("%H:%M:%S", time.gmtime(left % 86400))
        days = f"{int(left // 86400)}d " if left >= 86400 else ""
        speed = f"{entry['images_per_second']:.3g} images/s"
        return f"step {entry['step']}/{self._steps}  {speed}  left {days}{clock}  {losses}"
