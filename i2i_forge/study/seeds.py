"""A metric over seeds of training, and its difference to the baseline's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_forge.measure.bootstrap import paired
from i2i_forge.measure.comparison import column_key, per_input
from i2i_forge.measure.records import Record

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
