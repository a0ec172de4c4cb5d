"""A page of what finished runs learnt: for each a sheet of translations of the same inputs, and its losses."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.images import save_png, sheet
from i2i_forge.data.stream import test_batch
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.streams import build_streams
from i2i_forge.study.provenance import processor
from i2i_forge.system.seeding import generator
from i2i_forge.translate.loading import load
from i2i_forge.translate.translator import Translator
from i2i_forge_benchmarks.curves import draw

PAGE = "methods-synthetic.md"
ROUTE, CODES = "ab", 4


@dataclass
class Measured:
    """What a run's metrics.jsonl says.

    Attributes:
        steps: at which a line was written.
        losses: "phase/term" -> route -> a value for each of those steps.
        seconds: spent in steps and in waiting for their images.
    """

    steps: list[int]
    losses: dict[str, dict[str, list[float]]]
    seconds: float


def read_metrics(file: Path) -> Measured:
    """The lines of metrics.jsonl; a term whose weight was 0 at some of the steps is left out."""
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    losses: dict[str, dict[str, list[float]]] = {}
    for name in entries[-1]:
        if name.count("/") == 2 and all(name in entry for entry in entries):
            term, route = name.rsplit("/", 1)
            losses.setdefault(term, {})[route] = [entry[name] for entry in entries]
    steps = [entry["step"] for entry in entries]
    seconds = sum(
        (step - before) / entry["steps_per_second"]
        for before, step, entry in zip([0, *steps], steps, entries, strict=False)
    )
    return Measured(steps, losses, seconds)


def write_page(runs: Sequence[Path], out: Path, inputs: int = 5) -> Path:
    """Write the page and two PNGs for each run. What was written below a run's pictures on the last page stays.

    Args:
        runs: run folders; the test inputs are those of the first.
        out: where to.
        inputs: how many.
    """
    page = out / PAGE
    kept = _captions(page.read_text()) if page.is_file() else {}
    translators = [load(run) for run in runs]
    _, tests = build_streams(translators[0].recipe, load_plugins().catalog)
    x = test_batch(tests, inputs)[translators[0].trainer.routes[ROUTE][0]]
    rows, sections = [], []
    for run, translator in zip(runs, translators, strict=True):
        name, measured = translator.recipe.name, read_metrics(RunFolder(run).metrics)
        columns = translations(translator, x)
        save_png(sheet(list(zip(*columns.values(), strict=True)), list(columns)), out / f"methods-{name}.png")
        curves = dict(sorted(measured.losses.items()))
        save_png(draw(f"{name}: losses", measured.steps, curves), out / f"methods-{name}-losses.png")
        rows.append(_row(translator, measured))
        pictures = f"![translations](methods-{name}.png)\n\n![losses](methods-{name}-losses.png)"
        sections.append(f"## {name}\n\n{pictures}\n{kept.get(name, '')}")
    page.write_text("\n".join([*_HEAD, *rows, "", *sections]))
    return page


def translations(translator: Translator, x: Tensor) -> dict[str, list[Tensor]]:
    """The inputs, and their translations with four codes or, where a method has none, the one there is."""
    columns, latent = {"input": list(x)}, translator.latent(ROUTE)
    if latent is None:
        return {**columns, "translation": list(translator.translate(x, ROUTE))}
    source = translator.trainer.routes[ROUTE][0]
    for number in range(CODES):
        drawn = generator(0, "styles", number)
        code = translator.trainer.infer(latent, {source: x[:1]}, ROUTE, generator=drawn)
        codes: dict[str, Any] = {latent: code.expand(len(x), *code.shape[1:])}
        columns[f"code {number}"] = list(translator.translate(x, ROUTE, **codes))
    return columns


def _row(translator: Translator, measured: Measured) -> str:
    recipe = translator.recipe
    images = measured.steps[-1] * recipe.data.batch
    parameters = sum(p.numel() for _, module in translator.trainer.modules() for p in module.parameters())
    return (
        f"| {recipe.name} | {recipe.trainer} | {parameters / 1e6:.2f} M | {measured.steps[-1]:,} | {recipe.data.batch} "
        f"| {measured.seconds:,.0f} | {images / measured.seconds:.2f} |"
    )


def _captions(page: str) -> dict[str, str]:
    """Run -> what stands below its pictures."""
    sections = (section.partition("\n") for section in page.split("\n## ")[1:])
    return {name: text.rpartition("-losses.png)\n")[2] for name, _, text in sections}


_HEAD = [
    "# What the small recipes learn\n",
    "Drawn shoes, line drawings to photographs, 64x64. Each sheet has the same drawings of the test split; a method",
    "with codes shows the same four on every drawing. Curves: raw values pale, means of a tenth of the run bold. Route",
    "`ab` leads from drawings to photographs. Seconds are those of the steps.\n",
    f"- date: {datetime.date.today()}; hardware: {processor()}, torch {torch.__version__}",
    "- each run: `forge train NAME --run RUN`; this page: `python -m i2i_forge_benchmarks.methods page RUN...`\n",
    "| recipe | trainer | parameters | steps | batch | seconds | images/s |",
    "|---|---|---|---|---|---|---|",
]
