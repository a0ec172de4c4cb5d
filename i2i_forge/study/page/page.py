"""The whole page: comparison first, then each run."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.resources
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from i2i_forge.errors import disk_error
from i2i_forge.study.page.comparison import differences, overview
from i2i_forge.study.page.curves import compared_curves
from i2i_forge.study.page.gallery import gallery
from i2i_forge.study.page.markup import Html, escaped, section, tag
from i2i_forge.study.page.metric_table import MetricTable, measurements
from i2i_forge.study.page.run_report import RunReport
from i2i_forge.study.page.run_section import run_section
from i2i_forge.system.files import write_whole
from i2i_forge.system.outputs import marked

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # whatever is in a run, nothing is fetched
FEW = 6  # runs up to which their pictures keep their size
is_page = marked(escaped(POLICY))  # whether a file is one: it says so by its policy
LARGE, SMALL = 1200, 640  # pixels that a picture is wide at most


def page(runs: Sequence[RunReport], numbers: MetricTable | None, title: str, command: str) -> str:
    """The report as HTML.

    Args:
        runs: at least one, the members of a group next to one another.
        numbers: what was measured of them; None when nothing was.
        title: what it is a report of.
        command: the command line that asked for it.
    """
    style = importlib.resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    measured = measurements(numbers) if numbers else tag("p", "None yet: ", tag("code", "forge eval"), class_="note")
    part = section("Measurements", measured)
    body = _comparison(runs, part) if len(runs) > 1 else [part, run_section(runs[0], LARGE)]
    main = tag("main", _header(runs, title), *body, _footer(command))
    return "<!DOCTYPE html>\n" + tag("html", head, tag("body", main), lang="en") + "\n"


def write_page(text: str, file: Path) -> None:
    """Write the page; it appears whole or not at all.

    Raises:
        UsageError: the folder cannot be written.
        ResourceError: the disk does not take it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.encode("utf-8", "replace"))
    except OSError as error:
        raise disk_error(file, error, refused="name another file") from error


def _header(runs: Sequence[RunReport], title: str) -> Html:
    methods = ", ".join(dict.fromkeys(run.recipe.trainer for run in runs))
    count = f"{len(runs)} runs" if len(runs) > 1 else f"{runs[0].steps:,} steps"
    return tag("header", tag("h1", title), tag("p", f"{methods}; {count}", class_="beside"))


def _comparison(runs: Sequence[RunReport], numbers: Html) -> list[Html]:
    """The runs side by side, then a section for each."""
    first = [next(members) for _, members in groupby(runs, key=lambda run: run.place.column)]
    width = LARGE if len(runs) <= FEW else SMALL
    said = "The same inputs in the rows and the same styles in the columns, where data and seed are the same."
    said += " Of each group the first run." if len(first) < len(runs) else ""
    parts = [section("Runs", overview(runs)), numbers]
    if any(run.sheets for run in first):
        parts.append(section("Samples", tag("p", said, class_="note"), gallery(first, width)))
    parts += [section("Losses", compared_curves(runs)), section("What differs", differences(runs))]
    for number, run in enumerate(runs, 1):
        if run.place.group and run in first:
            parts.append(tag("p", run.place.group, class_="group"))
        about = run_section(run, None if run in first else width)
        parts.append(tag("section", tag("h2", run.place.name), about, id=f"run-{number}"))
    return parts


def _footer(command: str) -> Html:
    day, version = datetime.datetime.now(datetime.UTC).date(), importlib.metadata.version("i2i-forge")
    return tag("footer", tag("p", tag("code", command)), tag("p", f"i2i_forge {version}, {day}"))
