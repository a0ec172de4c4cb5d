"""How far a command is."""

from __future__ import annotations

import sys
import time

import click

from i2i_forge.cli.common import note


class Counted:
    """On a terminal a line that is rewritten; otherwise one every ten seconds.

    Args:
        unit: what is counted.
        scale: how many make one of the unit.
        quiet: nothing is shown.
    """

    def __init__(self, unit: str = "images", scale: float = 1, *, quiet: bool = False) -> None:
        self.unit, self.scale, self.quiet = unit, scale, quiet
        self.live, self.said, self.done = sys.stderr.isatty(), time.monotonic(), 0

    def __call__(self, done: int, total: int) -> None:
        """How much is done, of how much."""
        self.done, now = done, time.monotonic()
        if self.quiet or (now - self.said < (0.2 if self.live else 10) and not (self.live and done == total)):
            return
        self.said = now
        digits = 0 if self.scale == 1 else 1
        text = f"{done / self.scale:,.{digits}f}/{total / self.scale:,.{digits}f} {self.unit}"
        if self.live:
            click.echo(f"\r{text}{' ' if done < total else chr(10)}", err=True, nl=False)
        else:
            note(text)
