"""`forge report --html`: reads the runs, and writes the page about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2i_forge.catalog.registry import Catalog
from i2i_forge.cli.common import note, say, warn
from i2i_forge.errors import DataError, ForgeError
from i2i_forge.study.page.find import find_runs
from i2i_forge.study.page.metric_table import MetricTable
from i2i_forge.study.page.page import page, write_page
from i2i_forge.study.page.run_report import RunReport, read_run


def write_report(html: Path, runs: Sequence[Path], catalog: Catalog, numbers: MetricTable | None, command: str) -> None:
    """Write the page about `runs`, with the table of their numbers and the command that made it."""
    shown = _read(runs, catalog)
    title = shown[0].place.name if len(shown) == 1 else runs[0].resolve().name if len(runs) == 1 else "Comparison"
    write_page(page(shown, numbers, title, command), html)
    say(f"{html}")


def _read(runs: Sequence[Path], catalog: Catalog) -> list[RunReport]:
    """What is to be known of each run; those that cannot be read are named on stderr."""
    places = find_runs(runs)
    if not places:
        raise DataError(
            f"there is no run in {', '.join(map(str, runs))} (no resolved.yaml)",
            fix="name folders that `forge train --run` made",
        )
    shown = []
    for number, place in enumerate(places, 1):
        note(f"{number}/{len(places)} {place.folder}")
        try:
            shown.append(read_run(place, catalog))
        except ForgeError as error:
            if len(places) == 1:
                raise
            warn(f"{place.folder} is left out: {error.message.splitlines()[0]}")
    if not shown:
        raise DataError("none of these runs can be read", fix="see the warnings above")
    return shown
