"""What a report says of one run, read from its folder."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.images import sheet
from i2i_forge.data.space import shown
from i2i_forge.data.stream import test_batch
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trace import Trace
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import ForgeError
from i2i_forge.recipe.reading import Recipe
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.streams import build_streams
from i2i_forge.study.page.find import RunPlace
from i2i_forge.system.files import read_bytes, read_record
from i2i_forge.system.seeding import generator
from i2i_forge.translate.loading import load
from i2i_forge.translate.translator import Translator

T = TypeVar("T")
Points = list[tuple[float, float]]  # step, value


@dataclass(frozen=True)
class Sheet:
    """A grid: a file, or a picture that was made for the report. `step` is how far the run was."""

    picture: Path | Image.Image
    step: int


@dataclass(eq=False)
class RunReport:
    """A run as the report shows it.

    Attributes:
        place: its folder, name and group.
        recipe: what it was trained with.
        written: recipe.yaml as its author wrote it; "" where there is none.
        environment: env.json.
        curves: "phase/term/route" and "steps_per_second" -> the points that were recorded.
        sheets: route -> a grid of samples.
        trace: what a step computes; None where that cannot be told.
        notes: what is missing, and why.
    """

    place: RunPlace
    recipe: Recipe
    written: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)
    sheets: dict[str, Sheet] = field(default_factory=dict)
    trace: Trace | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """The last step that was recorded."""
        return int(max((points[-1][0] for points in self.curves.values()), default=0))

    @property
    def terms(self) -> dict[str, Points]:
        """The curves that are terms of the objective."""
        return {name: points for name, points in self.curves.items() if name.count("/") == 2}

    @property
    def routes(self) -> list[str]:
        """The routes that its terms are summed over."""
        known = self.trace.terms if self.trace else self.terms
        return list(dict.fromkeys(name.split("/")[2] for name in known))

    @property
    def speed(self) -> float | None:
        """The median of the recorded steps per second."""
        points = self.curves.get("steps_per_second", [])
        return statistics.median(value for _, value in points) if points else None


def read_run(place: RunPlace, catalog: Catalog) -> RunReport:
    """Read a run's folder. What cannot be read beside the recipe becomes a note.

    Raises:
        ForgeError: the folder holds no run, or its recipe cannot be read.
    """
    folder = RunFolder.open(place.folder)
    run = RunReport(place, folder.recipe())
    run.written = _text(run, folder.path / "recipe.yaml")
    if _text(run, environment := folder.path / "env.json"):
        run.environment = read_record(environment)
    run.curves = _curves(run, folder)
    run.sheets = newest_sheets(folder.samples)
    if not run.sheets:
        run.sheets = _tried(run, "no samples", partial(make_sheets, folder.path, catalog)) or {}
    run.trace = _tried(run, "what a step computes is not known", partial(trace_recipe, run.recipe, catalog))
    return run


def _tried(run: RunReport, what: str, compute: Callable[[], T]) -> T | None:
    """A value, or None and a note: code of plugins runs here, and no report should fail for it."""
    try:
        return compute()
    except ForgeError as error:
        run.notes.append(f"{what}: {error.message}")
    except Exception as error:
        run.notes.append(f"{what}: {type(error).__name__}: {error}")
    return None


def _text(run: RunReport, file: Path) -> str:
    """The content of a file; of one that cannot be read a note."""
    try:
        return read_bytes(file).decode(errors="replace")
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            run.notes.append(f"{file.name} cannot be read: {error.strerror}")
        return ""


def _curves(run: RunReport, folder: RunFolder) -> dict[str, Points]:
    """The numbers of metrics.jsonl by name; of a file that cannot be read a note."""
    curves: dict[str, Points] = {}
    try:
        for _, entry in folder.records():
            step = entry.pop("step")
            for name, value in entry.items():
                if math.isfinite(value):
                    curves.setdefault(name, []).append((step, value))
    except OSError as error:
        run.notes.append(f"{folder.metrics.name} cannot be read: {error.strerror}")
    return curves


def newest_sheets(folder: Path) -> dict[str, Sheet]:
    """Route -> the last of the files ROUTE-step-00001000.png in a folder."""
    sheets: dict[str, Sheet] = {}
    for file in sorted(folder.glob("*-step-*.png")):
        if found := re.fullmatch(r"(.+)-step-([0-9]+)\.png", file.name):
            known = sheets.get(found[1])
            if known is None or int(found[2]) >= known.step:
                sheets[found[1]] = Sheet(file, int(found[2]))
    return sheets


def make_sheets(run: Path, catalog: Catalog) -> dict[str, Sheet]:
    """Route -> a grid of test images in the styles that sample grids have.

    Raises:
        ForgeError: there is no checkpoint, or the data is not there.
    """
    translator = load(run, "cpu", catalog)
    _, tests = build_streams(translator.recipe, catalog)
    images = test_batch(tests, translator.recipe.run.sample_inputs)
    routes = translator.trainer.routes.items()
    return {
        route: Sheet(_translated(translator, route, images[source], images), translator.step)
        for route, (source, _) in routes
        if source in images
    }


def _translated(
    translator: Translator, route: str, x: torch.Tensor, beside: Mapping[str, torch.Tensor]
) -> Image.Image:  # fmt: skip
    trainer, latent = translator.trainer, translator.latent(route)
    columns = {"input": list(x)}
    if latent is None:
        columns["translation"] = list(translator.translate(x, route, beside=beside))
        return _sheet(columns, trainer, route)
    for number in range(translator.recipe.run.sample_styles):
        draws = generator(translator.recipe.seed, "samples", route, number)
        one = trainer.infer(latent, {trainer.routes[route][0]: x[:1]}, route, generator=draws)
        given: dict[str, Any] = {latent: one.expand(len(x), -1)}
        columns[f"style {number}"] = list(translator.translate(x, route, beside=beside, **given))
    return _sheet(columns, trainer, route)


def _sheet(columns: Mapping[str, Sequence[torch.Tensor | None]], trainer: Trainer, route: str) -> Image.Image:
    looks = shown(columns, *trainer.ends(route))
    return sheet(list(zip(*looks.values(), strict=True)), list(looks))
