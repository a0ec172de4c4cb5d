"""Grids of samples as pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from i2i_forge.data.decode import opened
from i2i_forge.errors import DataError
from i2i_forge.study.page.run_report import RunReport
from i2i_forge.study.page.samples import Sheet


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
