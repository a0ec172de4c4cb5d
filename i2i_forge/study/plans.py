"""What a study is: rows of a table, each a recipe with changes, and what is measured of all."""

from __future__ import annotations

from collections.abc import Mapping
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
