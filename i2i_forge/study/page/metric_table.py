"""Numbers as texts: those that `forge eval` prints, and the table that `forge report` prints and puts on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_forge.measure.comparison import Column, Key, difference, row_key
from i2i_forge.measure.records import Record
from i2i_forge.study.page.find import find_runs

Found = Sequence[tuple[Record, Path]]  # a record and its folder


@dataclass(frozen=True)
class MetricTable:
    """Texts: `headings` of the columns and `rows` with their names; each is some lines, a cell may have none."""

    headings: Sequence[Sequence[str]]
    rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]
    notes: Sequence[str] = ()

    def fitted(self) -> MetricTable:
        """With the longer side down, so that it does not become too wide."""
        if len(self.headings) <= len(self.rows):
            return self
        names, cells = zip(*self.rows, strict=True)
        rows = list(zip(self.headings, zip(*cells, strict=True), strict=True))
        return MetricTable(names, rows, self.notes)


def value_text(record: Record) -> str:
    """The value, the corrected one, and what must not be overlooked."""
    unit = f" {record.unit}" if record.unit != "none" else ""
    corrected = f"\n{record.bias_corrected:.4f} bias-corrected" if record.bias_corrected is not None else ""
    return f"{record.value:.4f}{unit}{corrected}" + ("" if record.backbone.is_calibrated else "\n(random weights)")


def interval_text(record: Record) -> str:
    """The interval, or the deviation over seeds."""
    text = f"{record.ci95[0]:.4f} to {record.ci95[1]:.4f}" if record.ci95 else ""
    if not text and record.se is not None:
        text = f"standard error {record.se:.4f}"
    return text + (f"\n{len(record.seeds)} seeds" if len(record.seeds) > 1 else "")


def run_names(found: Found, runs: Sequence[Path], *, always: bool = False) -> dict[Path, str]:
    """Folder -> the run's name; only of records whose own name several folders have, or `always`."""
    holders: dict[str, set[Path]] = {}
    for record, folder in found:
        holders.setdefault(record.model.name, set()).add(folder.resolve())
    shared = {folder for folders in holders.values() if len(folders) > 1 for folder in folders}
    places = {place.folder.resolve(): place.name for place in find_runs(runs)}
    return {folder: name for folder, name in places.items() if always or folder in shared}


def row_labels(found: Found, names: Mapping[Path, str]) -> dict[Key, str]:
    """Row -> its name, with more of what it is where names repeat. `names` says what a folder is called."""
    called: dict[Key, str] = {}
    for record, folder in found:
        called.setdefault(row_key(record), names.get(folder.resolve(), record.model.name))
    labels = {}
    for key, name in called.items():
        _, weights, step, route, data, edited = key
        twins = [other for other in called if called[other] == name and other != key]
        more = [f"step {step}" if step is not None and any(o[2] != step for o in twins) else "",
                str(route) if any(o[3] != route for o in twins) else "",
                str(data) if any(o[4] != data for o in twins) else "",
                f"edited {str(edited)[:6]}" if edited else ""]  # fmt: skip
        if twins and not any(more):
            more = [str(weights)[:6]]
        labels[key] = " ".join([name, *filter(None, more)])
    return labels


def text_table(
    table: Sequence[Column], labels: Mapping[Key, str], base: Key | None, more: Sequence[str] = ()
) -> MetricTable:
    """Each label's numbers, with differences to those of `base`; `more` notes follow those of the records."""
    rows = [([label], [_cell(column, row, base) for column in table]) for row, label in labels.items()]
    notes = [*_notes(table, labels), *more]
    return MetricTable([_heading(column.example) for column in table], rows, notes).fitted()


def _heading(record: Record) -> list[str]:
    arrow = "↑" if record.direction == "up" else "↓"
    real = f", {record.n.real} real" if record.n.real else ""
    trained = ", of training images" if record.data.split == "train" else ""
    counts = f"{record.n.inputs} x {record.n.outputs_per_input}{real}{trained}"
    return [f"{record.metric} {arrow}", record.protocol, counts, record.backbone.id]


def _cell(column: Column, row: Key, base: Key | None) -> list[str]:
    if row not in column.cells:
        return []
    record = column.cells[row][0]
    texts = (value_text(record), interval_text(record), _difference(column, row, base))
    return [line for text in texts for line in text.splitlines()]


def _difference(column: Column, row: Key, base: Key | None) -> str:
    if base is None or row == base or base not in column.cells:
        return ""
    found = difference(column, row, base)
    if found is None:
        return f"{column.cells[row][0].value - column.cells[base][0].value:+.4f} (not paired)"
    gap, interval = found
    return f"{gap:+.4f} " + ("({:+.4f} to {:+.4f})".format(*interval) if interval else "(of one input or group)")


def _notes(table: Sequence[Column], labels: Mapping[Any, str]) -> list[str]:
    """What the records warn of; with the rows that it is true of, if not of all."""
    notes: dict[str, list[str]] = {}
    for column in table:
        for row, (record, _) in column.cells.items():
            for text in record.warnings:
                notes.setdefault(f"{record.metric}: {text}", []).append(labels[row])
    return [
        text if len(set(names)) == len(labels) else f"{text} ({', '.join(dict.fromkeys(names))})"
        for text, names in notes.items()
    ]
