"""The whole page: comparison first, then each run. page.html is its text, which escapes whatever comes from a run."""

from __future__ import annotations

import base64
import datetime
import importlib.metadata
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from i2i_forge.data.decode import opened
from i2i_forge.errors import DataError, disk_error
from i2i_forge.study.costs import computations
from i2i_forge.study.page import charts, facts
from i2i_forge.study.page.metric_table import MetricTable
from i2i_forge.study.page.run_report import RunReport, Sheet
from i2i_forge.system.files import write_whole
from i2i_forge.system.outputs import marked

# Whatever is in a run, nothing is fetched. As markup.
POLICY = "default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;; img-src data:"
is_page = marked(POLICY)  # whether a file is one: it says so by its policy
FEW = 6  # runs up to which their pictures keep their size
LARGE, SMALL = 1200, 640  # pixels that a picture is wide at most
UNSEEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\ufffd")  # control characters, not HTML


@dataclass(frozen=True)
class Picture:
    """A grid as the page shows it: `source` is a data URI; "" where there is a problem."""

    run: str
    route: str
    step: int
    source: str = ""
    problem: str = ""


def pictures(runs: Sequence[RunReport], width: int) -> list[list[Picture]]:
    """The grids of some runs, each at most `width` pixels wide: those of one route, or of one run, side by side."""
    routes = dict.fromkeys(route for run in runs for route in run.sheets)
    rows = [[_picture(run.place.name, r, run.sheets[r], width) for run in runs if r in run.sheets] for r in routes]
    return rows if len(runs) > 1 else [[shown for row in rows for shown in row]]


def _picture(run: str, route: str, sheet: Sheet, width: int) -> Picture:
    try:
        return Picture(run, route, sheet.step, source=_data_uri(sheet.picture, width))
    except DataError as error:
        return Picture(run, route, sheet.step, problem=error.message)


def _data_uri(picture: Path | Image.Image, width: int) -> str:
    with opened(picture) if isinstance(picture, Path) else picture as read:
        image = read.convert("RGB")
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=92, subsampling=0)  # a third of a PNG's size, to the eye the same
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.globals |= {
    "ABSENT": facts.ABSENT, "again": facts.again, "asides": facts.asides, "compared_curves": charts.compared_curves,
    "computations": computations, "differences": facts.differences, "facts": facts.facts, "field": charts,
    "pictures": pictures, "run_curves": charts.run_curves,
}  # fmt: skip


def page(runs: Sequence[RunReport], numbers: MetricTable | None, title: str, command: str) -> str:
    """The report as HTML.

    Args:
        runs: at least one, the members of a group next to one another.
        numbers: what was measured of them; None when nothing was.
        title: what it is a report of.
        command: the command line that asked for it.
    """
    text = TEMPLATES.get_template("page.html").render(
        runs=runs, numbers=numbers, title=title, command=command, policy=POLICY, many=facts.MANY,
        first=[next(members) for _, members in groupby(runs, key=lambda run: run.place.column)],
        width=LARGE if len(runs) <= FEW else SMALL, version=importlib.metadata.version("i2i-forge"),
        day=datetime.datetime.now(datetime.UTC).date(),
    )  # fmt: skip
    return text.translate(UNSEEN)


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
