"""The numbers of a study side by side: mean and spread over seeds, differences to the baseline, what a step costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.measure.bootstrap import paired
from i2i_forge.measure.comparison import column_key, per_input
from i2i_forge.measure.records import Record
from i2i_forge.run.folder import RunFolder
from i2i_forge.study.costs import Cost
from i2i_forge.study.state import State

Interval = tuple[float, float]
BySeed = Mapping[int, tuple[Record, Path]]  # seed -> record and its folder


@dataclass
class Cell:
    """A metric of a row.

    Attributes:
        mean: over the seeds of training.
        std: over them; None for one seed.
        per_seed: seed -> value.
        difference: to the baseline, over the seeds that both have; None where the two must not be compared.
        interval: of the difference, 95 %, over the same inputs and noise, each input's values averaged over seeds
            first; None where they cannot be paired: other inputs, or a metric that is no mean over inputs.
    """

    mean: float
    std: float | None
    per_seed: dict[int, float]
    difference: float | None = None
    interval: Interval | None = None


def compared(mine: BySeed, theirs: BySeed) -> Cell:
    """A metric of a row, compared with the baseline's; `theirs` is empty for the baseline itself."""
    values = {seed: record.value for seed, (record, _) in mine.items()}
    std = statistics.stdev(values.values()) if len(values) > 1 else None
    cell = Cell(statistics.fmean(values.values()), std, values)
    seeds = [seed for seed in mine if seed in theirs]
    pairs = [(theirs[seed], mine[seed]) for seed in seeds]
    if not pairs or any(column_key(a) != column_key(b) for (a, _), (b, _) in pairs):
        return cell
    cell.difference = statistics.fmean(b.value - a.value for (a, _), (b, _) in pairs)
    if all(a.data.list_sha256 == b.data.list_sha256 and a.seeds == b.seeds for (a, _), (b, _) in pairs):
        before, after = _over_seeds([a for a, _ in pairs]), _over_seeds([b for _, b in pairs])
        if before and before.keys() == after.keys():
            cell.difference, cell.interval = paired(before, after)
    return cell


def _over_seeds(records: Sequence[tuple[Record, Path]]) -> dict[int, float]:
    """Input -> its value, averaged over the seeds; empty where there are no values by input."""
    found = [per_input(folder, record.per_input) for record, folder in records if record.per_input is not None]
    if len(found) < len(records) or not all(found):
        return {}
    return {number: statistics.fmean(one[number] for one in found) for number in found[0]}


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
