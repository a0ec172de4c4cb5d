"""Fuzz the readers of files that somebody else wrote: inputs that nobody would write, until one does harm.

    python -m i2i_forge_benchmarks.fuzz image archive image-list --minutes 5

An input does harm when the reader raises anything but a ForgeError, crashes, hangs, or takes more memory than the
target allows. It goes to tests/faults/found/TARGET with a text that says what happened; once mended, the test of found
inputs keeps it mended. See fuzz_targets/ for what a target is and how inputs are made.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from i2i_forge_benchmarks.fuzz_targets import NAMES
from i2i_forge_benchmarks.fuzz_targets.search import keep, search


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(list(NAMES)))
@click.option("--minutes", default=5.0, show_default=True, help="For each target.")
@click.option("--seed", default=0, show_default=True)
@click.option("--found", default="tests/faults/found", show_default=True, type=click.Path(path_type=Path),
              help="Where harmful inputs go.")  # fmt: skip
def main(targets: tuple[str, ...], minutes: float, seed: int, found: Path) -> None:
    """Fuzz TARGETS, by default all, one after another. Exits with 1 when something was found."""
    harmful = 0
    for name in targets or NAMES:
        before = _found(found / name)
        click.echo(fuzz(name, minutes * 60, seed, found / name))
        for file in sorted(_found(found / name) - before):
            harmful += 1
            click.echo(f"  {file}: {file.with_suffix('.txt').read_text().splitlines()[0]}")
    sys.exit(bool(harmful))


def fuzz(name: str, seconds: float, seed: int, found: Path) -> str:
    """Fuzz one target in processes of its own, started anew whenever one is lost; returns a line about it."""
    until, calls, state = time.time() + seconds, 0, ["0"] * 4
    while time.time() < until:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(place)
            arguments = (name, seed, until, folder, found)
            process = multiprocessing.get_context("spawn").Process(target=search, args=arguments)
            process.start()
            process.join()
            if (folder / "state.txt").exists():
                state = (folder / "state.txt").read_text().split()
                calls += int(state[0])
            if process.exitcode:
                if process.exitcode > 0:
                    raise click.ClickException(f"the search failed: {(folder / 'stderr.txt').read_text()[-2000:]}")
                _keep_last(folder, found, process.exitcode)
        seed += 1
    _, speed, kept, steps = state
    return f"{name}: {calls:,} inputs in {seconds:.0f} s, {speed} a second; {kept} kept, {steps} steps reached"


def _keep_last(folder: Path, found: Path, code: int) -> None:
    """The input that was being read when the process was lost."""
    cause = "hang" if code == -signal.SIGALRM else signal.strsignal(-code)
    where = [line.strip() for line in (folder / "stderr.txt").read_text().splitlines() if line.startswith("  File")]
    keep(found, (folder / "input").read_bytes(), f"{cause} in {where[0] if where else 'an unknown place'}")


def _found(folder: Path) -> set[Path]:
    return {file for file in folder.glob("*") if file.suffix != ".txt"}


if __name__ == "__main__":
    main()
