"""The numbers of a study side by side: mean and spread over seeds, differences to the baseline, what a step costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.measure.comparison import column_key
from i2i_forge.measure.records import Record
from i2i_forge.run.folder import RunFolder
from i2i_forge.study.costs import Cost
from i2i_forge.study.seeds import BySeed, Cell, compared
from i2i_forge.study.state import State


@dataclass
class TableRow:
    """A row: what it changes, how many runs it has, its numbers."""

    name: str
    drops: list[str]
    changes: list[str]
    seeds: list[int]  # that are trained and measured
    failed: dict[int, str]  # seed -> why
    network_calls: int
    calls_saved: int  # of the baseline's
    seconds_per_step: float | None
    seconds_saved: float | None
    cells: dict[str, Cell] = field(default_factory=dict)


@dataclass
class Table:
    """A study's result; `real` is what the metrics say of real images, `headings` how each was made."""

    study: str
    baseline: str
    steps: int
    rows: list[TableRow]
    headings: dict[str, str]
    real: dict[str, float]
    notes: list[str]


def make_table(study: str, baseline: str, states: Sequence[State], costs: Mapping[str, Cost]) -> Table:
    """The table of a study from its runs.

    Args:
        states: of all runs.
        costs: of each row.
    """
    rows: dict[str, list[State]] = {}
    for state in states:
        rows.setdefault(state.variant.name, []).append(state)
    found = {name: _by_metric(runs) for name, runs in rows.items()}
    seconds = {name: _seconds_per_step([run.folder for run in runs]) for name, runs in rows.items()}
    table = [_row(runs, seconds[name], seconds[baseline], costs[name], costs[baseline]) for name, runs in rows.items()]
    for row in table:
        row.cells = {
            metric: compared(records, found[baseline].get(metric, {}) if row.name != baseline else {})
            for metric, records in found[row.name].items()
        }
    records = [record for by_metric in found.values() for runs in by_metric.values() for record, _ in runs.values()]
    return Table(
        study, baseline, states[0].variant.recipe.steps, table,
        {metric: _heading(record) for metric, record in _first(records).items()},
        _real(records), _notes(found, baseline),
    )  # fmt: skip


Recorded = dict[str, BySeed]  # by metric


def _by_metric(runs: Sequence[State]) -> Recorded:
    found: dict[str, dict[int, tuple[Record, Path]]] = {}
    for run in runs:
        for records in run.records.values():
            for record in records:
                found.setdefault(record.metric, {})[run.variant.seed] = record, run.folder
    return dict(found)


def _row(runs: Sequence[State], mine: float | None, theirs: float | None, cost: Cost, full: Cost) -> TableRow:
    variant = runs[0].variant
    done = [run for run in runs if run.is_trained and run.records and not run.failure]
    return TableRow(
        variant.name, list(variant.drops), list(variant.changes), [run.variant.seed for run in done],
        {run.variant.seed: run.failure or "not run yet" for run in runs if run not in done},
        cost.total, full.total - cost.total, mine, theirs - mine if mine and theirs else None,
    )  # fmt: skip


def _seconds_per_step(folders: Sequence[Path]) -> float | None:
    """The median over all that was logged."""
    speeds = []
    for folder in folders:
        with suppress(OSError):
            entries = (entry for _, entry in RunFolder(folder).records())
            speeds += [entry["steps_per_second"] for entry in entries if "steps_per_second" in entry]
    return 1 / statistics.median(speeds) if speeds else None


def _first(records: Sequence[Record]) -> dict[str, Record]:
    """The first record of each metric, in the order of their first appearance."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(record.metric, record)
    return found


def _heading(record: Record) -> str:
    """How a column's numbers were made."""
    better = "higher" if record.direction == "up" else "lower"
    counts = f"{record.n.inputs} x {record.n.outputs_per_input}"
    return f"{better} is better, {record.protocol}, {counts}, {record.backbone.id}"


def _real(records: Sequence[Record]) -> dict[str, float]:
    """Metric -> what it says of real images: of the target domain, or of the inputs' true outputs."""
    return {
        metric: record.components[of]
        for of in ("truth", "real")
        for metric, record in _first([r for r in records if of in r.components]).items()
    }


def _notes(found: Mapping[str, Recorded], baseline: str) -> list[str]:
    """What a reader must know: the records' warnings, and which numbers are not compared."""
    warned: dict[str, list[str]] = {}
    for name, by_metric in found.items():
        for metric, runs in by_metric.items():
            for record, _ in runs.values():
                for text in record.warnings:
                    warned.setdefault(f"{metric}: {text}", []).append(name)
            keys = {column_key(record) for record, _ in [*runs.values(), *found[baseline].get(metric, {}).values()]}
            if len(keys) > 1:
                text = f"{metric}: of other images, or made otherwise, than that of '{baseline}': no difference"
                warned.setdefault(text, []).append(name)
    return [
        text if len(set(names)) == len(found) else f"{text} ({', '.join(dict.fromkeys(names))})"
        for text, names in warned.items()
    ]
