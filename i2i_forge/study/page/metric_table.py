"""The table of measurements, as the terminal and the page show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Lines = Sequence[str]


@dataclass(frozen=True)
class MetricTable:
    """Texts: `headings` of the columns and `rows` with their names; each is some lines, a cell may have none."""

    headings: Sequence[Lines]
    rows: Sequence[tuple[Lines, Sequence[Lines]]]
    notes: Sequence[str] = ()

    def fitted(self) -> MetricTable:
        """With the longer side down, so that it does not become too wide."""
        if len(self.headings) <= len(self.rows):
            return self
        names, cells = zip(*self.rows, strict=True)
        rows = list(zip(self.headings, zip(*cells, strict=True), strict=True))
        return MetricTable(names, rows, self.notes)
