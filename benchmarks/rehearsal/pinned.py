"""The table of counts that may only fall."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from i2i_forge_benchmarks.rehearsal.subjects import Counts

PINNED = "rehearsal.tsv"  # in benchmarks/results
TORCH = ".".join(torch.__version__.split(".")[:2])
COLUMNS = (f"torch {TORCH}", "part", "kernels", "megabytes", "waits", "draws")


def written(found: Mapping[str, Mapping[str, Counts]]) -> str:
    """The table of these recipes and parts."""
    rows = [(name, part, *counts.pinned) for name, parts in found.items() for part, counts in parts.items()]
    return "".join("\t".join(map(str, row)) + "\n" for row in (COLUMNS, *rows))


def risen(table: str, name: str, found: Mapping[str, Counts]) -> list[str]:
    """What of a recipe is more than its row of the table says, or has no row; nothing where another torch counted."""
    header, *rows = [line.split("\t") for line in table.splitlines()]
    if header[0] != COLUMNS[0]:
        return []
    pinned = {part: tuple(map(int, numbers)) for recipe, part, *numbers in rows if recipe == name}
    more = []
    for part, counts in found.items():
        for what, now, then in zip(COLUMNS[2:], counts.pinned, pinned.get(part, (0, 0, 0, 0)), strict=True):
            if now > then:
                more.append(f"{name}, {part}: {now:,} {what}, pinned are {then:,}")
    return more
