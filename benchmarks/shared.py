"""What the measuring scripts share: the page with its provenance, ways timed in turn, a process for each memory."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from i2i_forge.study.provenance import in_a_process, provenance

out_option = click.option("--out", type=click.Path(path_type=Path, exists=True, file_okay=False), help="For the page.")


def publish(
    module: str, title: str, lines: Sequence[str], out: Path | None, *packages: str, device: str = "cpu", name: str = ""
) -> None:
    """Print a page, and write it to a folder as NAME-DATE-DEVICE.md, or NAME-DATE.md for no device.

    Args:
        module: of this package, that was run.
        title, lines: of the page; where it comes from is written between them.
        out: the folder; None: it is only printed.
        packages: whose versions matter beside torch's.
        name: of the file, the module's by default.
    """
    program = f"python -m i2i_forge_benchmarks.{module}"
    source = provenance(*packages, device=device or "cpu", program=program)
    text = "\n".join([f"# {title}\n", *source, *lines]).rstrip() + "\n"
    click.echo(text)
    if out:
        parts = name or module.replace("_", "-"), str(datetime.date.today()), device
        (out / f"{'-'.join(filter(None, parts))}.md").write_text(text)


def in_turn(ways: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each way, one after the other, so that a busy machine is busy for all."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, found in zip(ways, seconds, strict=True):
            found.append(timed(way)[0])
    return seconds


def timed(way: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, the GPU's work included, and what it returned."""
    began = time.perf_counter()
    made = way()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began, made


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of measurements that followed each other."""
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def alone(module: str, *arguments: str, **environment: str) -> Any:
    """What a script of this package, run in a process of its own, prints as JSON."""
    return in_a_process(f"i2i_forge_benchmarks.{module}", *arguments, **environment)
