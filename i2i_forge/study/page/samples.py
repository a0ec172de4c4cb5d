"""A run's grids of samples: the newest of samples/, or made by its networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.images import sheet
from i2i_forge.data.stream import test_batch
from i2i_forge.run.streams import build_streams
from i2i_forge.system.seeding import generator
from i2i_forge.translate.loading import load
from i2i_forge.translate.translator import Translator


@dataclass(frozen=True)
class Sheet:
    """A grid: a file, or a picture that was made for the report. `step` is how far the run was."""

    picture: Path | Image.Image
    step: int


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
        route: Sheet(_translated(translator, route, images[source]), translator.step)
        for route, (source, _) in routes
        if source in images
    }


def _translated(translator: Translator, route: str, x: torch.Tensor) -> Image.Image:
    trainer, latent = translator.trainer, translator.latent(route)
    columns = {"input": list(x)}
    if latent is None:
        columns["translation"] = list(translator.translate(x, route))
        return sheet(list(zip(*columns.values(), strict=True)), list(columns))
    for number in range(translator.recipe.run.sample_styles):
        draws = generator(translator.recipe.seed, "samples", route, number)
        one = trainer.infer(latent, {trainer.routes[route][0]: x[:1]}, route, generator=draws)
        given: dict[str, Any] = {latent: one.expand(len(x), -1)}
        columns[f"style {number}"] = list(translator.translate(x, route, **given))
    return sheet(list(zip(*columns.values(), strict=True)), list(columns))
