"""forge report"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli.common import console, json_option, note, print_json
from i2i_forge.errors import DataError, UsageError

if TYPE_CHECKING:
    from i2i_forge.evaluation.comparison import Column
    from i2i_forge.evaluation.records import Record


@click.command("report")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this one.")
@click.option("--baseline", metavar="NAME", help="Show how the others differ from this row.")
@json_option
def command(runs: tuple[Path, ...], metrics: tuple[str, ...], baseline: str | None, as_json: bool) -> None:
    """Compare what `forge eval` recorded of RUNs (folders, or results.jsonl files; by default all that are near).

    A column holds only numbers made in the same way: same protocol, counts, network, reference images. Differences to
    --baseline come with 95 % intervals over the same inputs and noise; where these differ, there is none.
    """
    from i2i_forge.evaluation.comparison import columns, row_key, unlike

    found = _records(runs, {name.replace("-", "_") for name in metrics})
    table = columns(found)
    labels = _labels([record for record, _ in found])
    rows = list(dict.fromkeys(row_key(record) for record, _ in found))
    base = _baseline(baseline, rows, labels)
    if as_json:
        print_json([_facts(column, rows, labels, base) for column in table])
        return
    _print(table, rows, labels, base)
    for text in unlike(table):
        note(text)


def _records(runs: Sequence[Path], metrics: set[str]) -> list[tuple[Record, Path]]:
    from i2i_forge.evaluation.records import FILE, read

    files = [run / FILE if run.is_dir() else run for run in runs]
    if not runs:
        files = sorted(file for depth in (".", "*", "*/*") for file in Path().glob(f"{depth}/{FILE}"))
    if not files:
        raise DataError(f"there is no {FILE} here", fix="measure a run first: forge eval RUN --metric lpips-diversity")
    records = [(record, file.parent) for file in files for record in read(file)]
    kept = [(record, folder) for record, folder in records if not metrics or record.metric in metrics]
    if not kept:
        there = ", ".join(sorted({record.metric for record, _ in records})) or "nothing"
        raise UsageError(f"no record is of {', '.join(sorted(metrics))}", fix=f"there is: {there}")
    return kept


def _labels(records: Sequence[Record]) -> dict[Any, str]:
    """Row -> its name, with more of what it is where names repeat."""
    from i2i_forge.evaluation.comparison import row_key

    keys = list(dict.fromkeys(row_key(record) for record in records))
    labels = {}
    for key in keys:
        name, weights, step, route, data = key
        twins = [other for other in keys if other[0] == name and other != key]
        more = [f"step {step}" if step is not None and any(o[2] != step for o in twins) else "",
                str(route) if any(o[3] != route for o in twins) else "",
                str(data) if any(o[4] != data for o in twins) else ""]  # fmt: skip
        if twins and not any(more):
            more = [str(weights)[:6]]
        labels[key] = " ".join([str(name), *filter(None, more)])
    return labels


def _baseline(wanted: str | None, rows: Sequence[Any], labels: dict[Any, str]) -> Any:
    if wanted is None:
        return None
    found = [row for row in rows if wanted in (labels[row], row[0])]
    if len(found) != 1:
        raise UsageError(
            f"--baseline {wanted}: {len(found)} rows are called so", fix=f"one of: {', '.join(labels.values())}"
        )
    return found[0]


def _print(table: Sequence[Column], rows: Sequence[Any], labels: dict[Any, str], base: Any) -> None:
    from rich.table import Table

    from i2i_forge.cli.evaluate import interval_text, value_text

    shown = Table("", *(_heading(column.example) for column in table), show_lines=True)
    for row in rows:
        cells = []
        for column in table:
            record = column.cells[row][0] if row in column.cells else None
            cells.append("" if record is None else "\n".join(
                filter(None, (value_text(record), interval_text(record), _difference(column, row, base)))))  # fmt: skip
        shown.add_row(labels[row], *cells)
    console().print(shown)
    notes: dict[str, list[str]] = {}
    for column in table:
        for row, (record, _) in column.cells.items():
            for text in record.warnings:
                notes.setdefault(f"{record.metric}: {text}", []).append(labels[row])
    for text, names in notes.items():
        click.echo(f"note: {text}" + ("" if len(set(names)) == len(rows) else f" ({', '.join(dict.fromkeys(names))})"))


def _heading(record: Record) -> str:
    arrow = "↑" if record.direction == "up" else "↓"
    real = f", {record.n.real} real" if record.n.real else ""
    return (f"{record.metric} {arrow}\n{record.protocol}\n{record.n.inputs} x {record.n.outputs_per_input}{real}\n"
            f"{record.backbone.id}")  # fmt: skip


def _difference(column: Column, row: Any, base: Any) -> str:
    from i2i_forge.evaluation.comparison import difference

    if base is None or row == base or base not in column.cells:
        return ""
    found = difference(column, row, base)
    if found is None:
        return f"{column.cells[row][0].value - column.cells[base][0].value:+.4f} (not paired)"
    gap, (low, high) = found
    return f"{gap:+.4f} ({low:+.4f} to {high:+.4f})"


def _facts(column: Column, rows: Sequence[Any], labels: dict[Any, str], base: Any) -> dict[str, Any]:
    from i2i_forge.evaluation.comparison import difference

    cells = {}
    for row in rows:
        if row not in column.cells:
            continue
        record = column.cells[row][0]
        cells[labels[row]] = record.model_dump(mode="json", exclude_none=True)
        if base is not None and row != base and base in column.cells:
            cells[labels[row]]["difference"] = difference(column, row, base)
    return {"metric": column.example.metric, "protocol": column.example.protocol, "rows": cells}
