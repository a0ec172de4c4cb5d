"""forge report"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli import FilePath, json_option
from i2i_forge.cli.common import loaded_host, note, print_json, print_table, say, warn
from i2i_forge.errors import DataError, ForgeError, UsageError
from i2i_forge.system.files import natural_key
from i2i_forge.system.outputs import refuse_to_replace

if TYPE_CHECKING:
    from i2i_forge.catalog.registry import Catalog
    from i2i_forge.measure.comparison import Column
    from i2i_forge.study.page.metric_table import Found, MetricTable
    from i2i_forge.study.page.run_report import RunReport

HERE = (Path(),)


@click.command("report")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=FilePath())
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Compare only this metric; repeat it for more."
)
@click.option("--baseline", metavar="NAME", help="Show how the others differ from this row.")
@click.option("--html", metavar="FILE.html", type=FilePath(), help="Write a page about the runs.")
@json_option
def command(
    runs: tuple[Path, ...], metrics: tuple[str, ...], baseline: str | None, html: Path | None, as_json: bool
) -> None:
    """Compare what `forge eval` recorded of RUNs: folders of runs, folders that hold runs, or results.jsonl files. By
    default these are all runs below the current folder.

    Only numbers made in the same way stand side by side: same protocol, counts, network, reference images.
    Differences to --baseline come with 95 % intervals over the same inputs and noise; without the same inputs and
    noise there is no interval.

    --html writes one file that opens anywhere: the objective of each run, its samples, losses and environment, what a
    step computes, and the numbers as far as there are any.
    """
    if html is not None:
        _refuse_odd(html, as_json=as_json)
        from i2i_forge.study.page.page import is_page, page, write_page

        refuse_to_replace([html], is_page)
    from i2i_forge.measure.comparison import columns, unlike
    from i2i_forge.study.page.metric_table import row_labels, run_names, text_table

    near = runs or HERE
    found = _records(near, metrics, needed=html is None)
    table, labels = columns(found), row_labels(found, run_names(found, near, always=html is not None))
    base = _baseline(baseline, labels)
    if as_json:
        print_json([_facts(column, labels, base) for column in table])
    elif html is not None:
        options = [*(f"--metric={name}" for name in metrics), *([f"--baseline={baseline}"] if baseline else [])]
        line = shlex.join(["forge", "report", *map(str, runs), *options, "--html", str(html)])
        numbers = text_table(table, labels, base, unlike(table)) if found else None
        shown = _read_runs(near, loaded_host().catalog)
        title = shown[0].place.name if len(shown) == 1 else near[0].resolve().name if len(near) == 1 else "Comparison"
        write_page(page(shown, numbers, title, line), html)
        say(f"{html}")
    else:
        _print(text_table(table, labels, base))
        for text in unlike(table):
            note(text)


def _refuse_odd(html: Path, *, as_json: bool) -> None:
    if as_json:
        raise UsageError("--html and --json are both given", fix="leave one out")
    if html.suffix.lower() not in (".html", ".htm"):  # a run's folder or its records may be meant
        raise UsageError(f"--html {html}: a page's name ends in .html", fix="write it as --html report.html")


def _records(runs: Sequence[Path], metrics: Sequence[str], *, needed: bool) -> Found:
    """The records of runs, and of those below folders."""
    from i2i_forge.measure.records import FILE, read
    from i2i_forge.study.page.find import DEPTHS

    files: dict[Path, None] = {}
    for run in runs:
        below = sorted((file for depth in DEPTHS for file in run.glob(f"{depth}/{FILE}")), key=natural_key)
        files |= dict.fromkeys(below if run.is_dir() else [run])
    if not files and needed:
        raise DataError(
            f"there is no {FILE} in {', '.join(map(str, runs))}",
            fix="measure a run first: forge eval RUN --metric lpips-diversity",
        )
    records = [(record, file.parent) for file in files for record in read(file, note)]
    wanted = {name.replace("-", "_") for name in metrics}
    kept = [(record, folder) for record, folder in records if not wanted or record.metric in wanted]
    if not kept and (records or needed):
        there = ", ".join(sorted({record.metric for record, _ in records})) or "nothing"
        raise UsageError(f"no record is of {', '.join(sorted(wanted)) or 'anything'}", fix=f"there is: {there}")
    return kept


def _read_runs(runs: Sequence[Path], catalog: Catalog) -> list[RunReport]:
    """What is to be known of each run; those that cannot be read are named on stderr."""
    from i2i_forge.study.page.find import find_runs
    from i2i_forge.study.page.run_report import read_run

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


def _baseline(wanted: str | None, labels: dict[Any, str]) -> Any:
    if wanted is None:
        return None
    found = [row for row, label in labels.items() if wanted in (label, row[0])]
    if len(found) != 1:
        raise UsageError(
            f"--baseline {wanted}: {len(found)} rows have that name",
            fix=f"one of: {', '.join(labels.values()) or 'none'}",
        )
    return found[0]


def _print(shown: MetricTable) -> None:
    rows = [["\n".join(cell) for cell in (name, *cells)] for name, cells in shown.rows]
    print_table("", *("\n".join(heading) for heading in shown.headings), rows=rows, show_lines=True)
    for text in shown.notes:
        say(f"note: {text}")


def _facts(column: Column, labels: dict[Any, str], base: Any) -> dict[str, Any]:
    from i2i_forge.measure.comparison import difference

    cells = {}
    for row, label in labels.items():
        if row not in column.cells:
            continue
        cells[label] = column.cells[row][0].model_dump(mode="json", exclude_none=True)
        if base is not None and row != base and base in column.cells:
            cells[label]["difference"] = difference(column, row, base)
    return {"metric": column.example.metric, "protocol": column.example.protocol, "rows": cells}
