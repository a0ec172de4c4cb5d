"""Count the kernels, bytes and waits of each recipe's step on a GPU, without one.

    python -m i2i_forge_benchmarks.rehearsal [RECIPE ...] [--set KEY=VALUE] [--where]
    python -m i2i_forge_benchmarks.rehearsal --out benchmarks/results

writes the page, and rehearsal.tsv beside it: the counts of the synthetic recipes that a test lets only fall.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import click

from i2i_forge_benchmarks.rehearsal.pinned import PINNED, written
from i2i_forge_benchmarks.rehearsal.subjects import METRICS, PUBLISHED, SYNTHETIC, Counts, parts_of, updates_of_metrics
from i2i_forge_benchmarks.shared import out_option, publish

ABOUT = """\
Nothing was timed and nothing computed: the code ran on fake CUDA tensors, which have shapes and no values. Waits, draws
and megabytes (that operations read and write) are exact; kernels are estimated from operations, as torch's eager
kernels are written, without cuDNN's own conversions of layouts. A step is the second one; `report` reads its losses,
which the loop does when the next step is begun.
"""


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE")
@click.option("--where", is_flag=True, help="Kernels by operation, waits and draws by their place.")
@out_option
def main(recipes: tuple[str, ...], changes: tuple[str, ...], where: bool, out: Path | None) -> None:
    warnings.filterwarnings("ignore")
    logging.disable()
    found = {name: parts_of(name, list(changes)) for name in recipes or (*PUBLISHED, *SYNTHETIC)}
    if not recipes:
        found[METRICS] = updates_of_metrics()
    lines = [*ABOUT.splitlines(), ""]
    for name, parts in found.items():
        lines += [f"## {name}", "", *_table(parts), *(_places(parts) if where else []), ""]
    publish("rehearsal", "CUDA, rehearsed without a GPU", lines, out, device="")
    if out and not (recipes or changes):
        (out / PINNED).write_text(written({name: found[name] for name in (*SYNTHETIC, METRICS)}))


def _table(parts: Mapping[str, Counts]) -> list[str]:
    lines = ["| | kernels | MB | waits | draws of the host | seeded |", "|---|---|---|---|---|---|"]
    for part, counts in parts.items():
        lines.append(f"| {part} | {' | '.join(f'{n:,}' for n in (*counts.pinned, counts.seeded))} |")
    return lines


def _places(parts: Mapping[str, Counts]) -> list[str]:
    lines = []
    for part, counts in parts.items():
        lines += ["", f"{part}: " + ", ".join(f"{name} {count:,}" for name, count in counts.kernels.items())]
        lines += [f"- waits {count}x {place}" for place, count in counts.waits.items()]
        lines += [f"- draws {count}x {place}" for place, count in counts.drawn.items()]
    return lines


if __name__ == "__main__":
    main()
