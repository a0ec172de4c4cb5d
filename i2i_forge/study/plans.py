"""What a study is: rows of a table, each a recipe with changes; and the commands that train and measure a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.recipe.reading import Recipe


@dataclass(frozen=True)
class Row:
    """A row of the table: a recipe by name or file, changed as by --set and --drop."""

    source: str
    changes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What is measured of every run, as the options of `forge eval` say it."""

    metrics: tuple[str, ...] = ("lpips-diversity",)
    protocols: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    inputs: int | None = None
    samples: int | None = None
    classifier: Path | None = None
    data: tuple[str, ...] = ()  # "paired=false"


@dataclass(frozen=True)
class ClassifierData:
    """What the study's classifier of modes is trained on: a data set or folder, with its options."""

    data: str
    options: tuple[str, ...] = ()  # "size=128"


@dataclass(frozen=True)
class Plan:
    """A whole study.

    Attributes:
        name: of the study.
        rows: by name, in the order of the table.
        baseline: the row that the others are compared with.
        changes: applied to every row, before its own.
        seeds: how many; they count up from the recipe's.
        classifier: to be trained for the metrics of modes; None for none.
    """

    name: str
    rows: Mapping[str, Row]
    baseline: str
    changes: tuple[str, ...] = ()
    steps: int | None = None
    seeds: int = 1
    asked: Asked = field(default_factory=Asked)
    classifier: ClassifierData | None = None


@dataclass(frozen=True)
class Variant:
    """One training run of a study: a row with a seed.

    Attributes:
        name: of the row.
        source: the row's recipe, by name or file.
        changes: all that were applied, without the seed.
        drops: the terms left out.
        seed: of the run.
        recipe: what results.
    """

    name: str
    source: str
    changes: tuple[str, ...]
    drops: tuple[str, ...]
    seed: int
    recipe: Recipe


def run_folder(out: Path, variant: Variant) -> Path:
    """Where a variant's run is."""
    return out / variant.name / f"seed-{variant.seed}"


def train_command(variant: Variant, out: Path, device: str, source: str | Path = "") -> list[str]:
    """Train a variant.

    Args:
        source: a file that holds the row's recipe, changed already; by default the changes are spelt out.
    """
    spelt = [*_options("--set", variant.changes), *_options("--drop", variant.drops)]
    chosen = [str(source)] if source else [variant.source, *spelt]
    seed = ["--set", f"seed={variant.seed}"] if f"seed={variant.seed}" not in variant.changes else []
    return ["train", *chosen, *seed, "--run", str(run_folder(out, variant)), *_device(device)]


def eval_command(run: Path, asked: Asked, device: str) -> list[str]:
    """Measure a run."""
    return [
        "eval", str(run), *_options("--metric", asked.metrics), *_options("--protocol", asked.protocols),
        *_options("--backbone", asked.backbones), *_options("--data", asked.data),
        *(["--inputs", str(asked.inputs)] if asked.inputs else []),
        *(["--samples", str(asked.samples)] if asked.samples else []),
        *(["--classifier", str(asked.classifier)] if asked.classifier else []), *_device(device),
    ]  # fmt: skip


def classifier_command(data: ClassifierData, folder: Path, device: str) -> list[str]:
    """Train the study's classifier of modes."""
    return [
        "classifier", "train", data.data, *_options("--set", data.options), "--out", str(folder), *_device(device)
    ]  # fmt: skip


def _shell_line(plugins: Sequence[Path], *commands: Sequence[str]) -> str:
    forge = ["forge", *_options("--plugins", [str(folder) for folder in plugins])]
    return " && ".join(shlex.join([*forge, *command]) for command in commands)


def shell_lines(
    plan: Plan, variants: Sequence[Variant], asked: Asked, out: Path, device: str, plugins: Sequence[Path] = ()
) -> list[str]:
    """A line for each run, for any scheduler; the first line makes the classifier, if one is to be trained."""
    lines = []
    if plan.classifier is not None and asked.classifier == out / "classifier":
        lines.append(_shell_line(plugins, classifier_command(plan.classifier, asked.classifier, device)))
    for variant in variants:
        measured = eval_command(run_folder(out, variant), asked, device)
        lines.append(_shell_line(plugins, train_command(variant, out, device), measured))
    return lines


def _options(name: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (name, value)]


def _device(device: str) -> list[str]:
    return ["--device", device] if device != "auto" else []
