"""How a study's table is shown: Markdown, JSON, and cells for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from i2i_forge.errors import disk_error
from i2i_forge.study.table import Cell, Table, TableRow
from i2i_forge.system.files import write_whole


def cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """The header, and the rows; a cell may have several lines."""
    header = ["", "runs", *table.headings, "network calls", "seconds per step"]
    rows = [_row(row, list(table.headings)) for row in table.rows]
    if table.real:
        real = [f"{table.real[metric]:.4f}" if metric in table.real else "" for metric in table.headings]
        rows.append(["real images", "", *real, "", ""])
    return header, rows


def remarks(table: Table) -> list[str]:
    """What stands below the table: how it is read, what failed, what must be known."""
    seeds = max((len(row.seeds) for row in table.rows), default=0)
    spread = "mean ± standard deviation over seeds; " if seeds > 1 else ""
    return [
        f"{spread}below it the difference to '{table.baseline}', with a 95 % interval over inputs if it can be paired",
        "seconds per step: the median of what the runs logged; other work on the machine makes them longer",
        *(f"{metric}: {how}" for metric, how in table.headings.items()),
        *(f"{row.name}, seed {seed}: {_failed(why)}" for row in table.rows for seed, why in row.failed.items()),
        *table.notes,
    ]


def write_table(table: Table, out: Path) -> None:
    """Write table.md and table.json. Raises ResourceError when the disk does not take them."""
    header, rows = cells(table)
    lines = [header, ["---"] * len(header), *([text.replace("\n", "<br>") for text in row] for row in rows)]
    text = "\n".join(
        [
            f"# {table.study}: {table.steps:,} steps a run\n",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
            *(f"- {text}" for text in remarks(table)),
            "",
        ]
    )
    try:
        write_whole(out / "table.md", text)
        write_whole(out / "table.json", json.dumps(asdict(table), indent=2) + "\n")
    except OSError as error:
        raise disk_error(out, error) from error


def _row(row: TableRow, metrics: Sequence[str]) -> list[str]:
    total = len(row.seeds) + len(row.failed)
    runs = f"{len(row.seeds)} of {total}" if row.failed else f"{total}"
    numbers = [_cell(row.cells[metric]) if metric in row.cells else "" for metric in metrics]
    if not row.seeds:
        numbers = ["failed"] * len(numbers)
    calls = f"{row.network_calls}" + (f"\n{-row.calls_saved:+d}" if row.calls_saved else "")
    seconds = f"{row.seconds_per_step:.3f}" if row.seconds_per_step else ""
    if row.seconds_saved:
        seconds += f"\n{-row.seconds_saved:+.3f}"
    return [row.name, runs, *numbers, calls, seconds]


def _cell(cell: Cell) -> str:
    text = f"{cell.mean:.4f}" + (f" ± {cell.std:.4f}" if cell.std is not None else "")
    if cell.difference is not None:
        text += f"\n{cell.difference:+.4f}"
    if cell.interval is not None:
        text += f" ({cell.interval[0]:+.4f} to {cell.interval[1]:+.4f})"
    return text


def _failed(why: str) -> str:
    return why if why == "not run yet" else f"failed, {why}"
