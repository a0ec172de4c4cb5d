"""Grids of samples as pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from i2i_forge.data.decode import opened
from i2i_forge.errors import DataError
from i2i_forge.study.page.markup import Html, join, tag
from i2i_forge.study.page.run_report import RunReport
from i2i_forge.study.page.samples import Sheet


def gallery(runs: Sequence[RunReport], width: int) -> Html:
    """The grids of some runs, each at most `width` pixels wide: those of one route, or of one run, side by side."""
    routes = dict.fromkeys(route for run in runs for route in run.sheets)
    rows = [[_figure(run.place.name, r, run.sheets[r], width) for run in runs if r in run.sheets] for r in routes]
    if len(runs) == 1:
        rows = [[shown for row in rows for shown in row]]
    return join(tag("div", *row, class_="sheets") for row in rows)


def _figure(name: str, route: str, shown: Sheet, width: int) -> Html:
    caption = tag("figcaption", tag("b", name), f" {route}, step {shown.step:,}")
    try:
        source = _data_uri(shown.picture, width)
    except DataError as error:
        return tag("figure", tag("p", f"The picture cannot be read: {error.message}", class_="note"), caption)
    picture = tag("img", src=source, alt=f"Samples of {name}, {route}, step {shown.step}")
    return tag("figure", tag("div", picture, class_="scroll sheet", tabindex=0), caption)


def _data_uri(picture: Path | Image.Image, width: int) -> str:
    with opened(picture) if isinstance(picture, Path) else picture as read:
        image = read.convert("RGB")
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=92, subsampling=0)  # a third of a PNG's size, to the eye the same
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
