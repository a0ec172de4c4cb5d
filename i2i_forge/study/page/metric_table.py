"""The table of measurements, as the terminal and the page show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from i2i_forge.study.page.markup import Html, join, lines, table, tag

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


def measurements(shown: MetricTable) -> Html:
    """The table with its notes."""
    rows = [(lines(name), *map(lines, cells)) for name, cells in shown.rows]
    notes = [tag("li", text) for text in shown.notes]
    return join([
        tag("p", "Only numbers made in the same way stand side by side; ranges are 95 % intervals.", class_="note"),
        table(("", *map(lines, shown.headings)), rows, "numbers"), tag("ul", *notes, class_="note") if notes else "",
    ])  # fmt: skip
