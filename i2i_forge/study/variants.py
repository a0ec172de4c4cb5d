"""What a study is: rows from drops and grids, and resolved recipes from a plan. Functions of their arguments alone."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.errors import UsageError
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.recipe.terms import TermSyntaxError, parse_weight
from i2i_forge.recipe.yaml_text import to_inline_yaml

FULL = "full"  # the row that nothing is left out of
LONGEST = 100  # characters of a row's name, which is a folder's


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
class StudyPlan:
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


def rows_of(
    source: str, drops: Sequence[str] = (), grids: Sequence[str] = (), changes: Sequence[str] = (),
    vocabulary: Vocabulary | None = None,
) -> dict[str, Row]:  # fmt: skip
    """The full objective, a row without each of `drops`, and a row for each point of the grids' product.

    Args:
        source: a recipe.
        drops: "generator.style"; several terms that go together are joined, "generator.style+generator.content".
        grids: "KEY=VALUE,VALUE": a key as for --set, or a term's weight, "generator.image.weight=1,10". A point that
            changes nothing is the full objective, and gets no second row.
        changes: made to the recipe first.

    Raises:
        RecipeError: the recipe is not valid.
        UsageError: a drop or a grid that cannot be read.
    """
    base = read_recipe(source, set=changes, vocabulary=vocabulary)
    rows = {FULL: Row(source)}
    for drop in drops:
        rows[_folder_name(f"no-{drop}")] = Row(source, drops=tuple(drop.split("+")))
    axes = [[(key, value) for value in values] for key, values in map(_axis, grids)]
    for point in itertools.product(*axes) if axes else ():
        row = Row(source, tuple(change for key, value in point if (change := _change(base, key, value))))
        if read_recipe(source, set=(*changes, *row.changes), vocabulary=vocabulary).to_data() != base.to_data():
            rows[_folder_name(",".join(f"{key}={value}" for key, value in point))] = row
    return rows


def run_folder(out: Path, variant: Variant) -> Path:
    """Where a variant's run is."""
    return out / variant.name / f"seed-{variant.seed}"


def expand(plan: StudyPlan, vocabulary: Vocabulary | None = None) -> list[Variant]:
    """The runs of a study, seed by seed, so that one stopped half-way has compared all rows with the first seeds.

    Raises:
        RecipeError, UsageError: a row is not a valid recipe; the row is named.
    """
    steps = (f"steps={plan.steps}",) if plan.steps else ()
    firsts = []
    for name, row in plan.rows.items():
        changes = (*plan.changes, *row.changes, *steps)
        try:
            recipe = read_recipe(row.source, set=changes, drop=row.drops, vocabulary=vocabulary)
        except UsageError as error:
            raise UsageError(f"row '{name}': {error.message}", fix=error.fix) from None
        firsts.append(Variant(name, row.source, changes, row.drops, recipe.seed, recipe.named(name)))
    seeded = [(first, first.seed + offset) for offset in range(plan.seeds) for first in firsts]
    return [replace(v, seed=seed, recipe=v.recipe.model_copy(update={"seed": seed})) for v, seed in seeded]


def _axis(grid: str) -> tuple[str, list[str]]:
    """The key of a grid and its values; commas inside brackets or quotes belong to a value."""
    key, equals, text = grid.partition("=")
    values = [value.strip() for value in _split(text)]
    if not equals or not key.strip() or not all(values):
        raise UsageError(f"--grid {grid}: this is not KEY=VALUE,VALUE", fix="write --grid generator.image.weight=1,10")
    return key.strip(), list(dict.fromkeys(values))


def _split(text: str) -> Iterator[str]:
    depth, start, quote = 0, 0, ""
    for at, character in enumerate(text):
        if character in "\"'":
            quote = "" if quote == character else quote or character
        elif not quote:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and depth == 0:
                yield text[start:at]
                start = at + 1
    yield text[start:]


def _change(recipe: Recipe, key: str, value: str) -> str:
    """What --set is given for one value of a grid; nothing where a term has that weight already."""
    phase, _, rest = key.partition(".")
    term, _, last = rest.rpartition(".")
    if last != "weight" or phase not in recipe.phases:
        return f"{key}={value}"
    lines = recipe.terms(phase).get(term)
    if lines is None:
        known = ", ".join(f"{phase}.{name}.weight" for name in recipe.phases[phase].minimize)
        raise UsageError(f"--grid {key}: phase '{phase}' has no term '{term}'", fix=f"there is: {known}")
    try:
        weight = parse_weight(value)
    except TermSyntaxError as error:
        raise UsageError(f"--grid {key}={value}: {error}", fix="a weight is a number or a schedule") from None
    changed = {route: replace(line, weight=weight) for route, line in lines.items()}
    if changed == lines:
        return ""
    written: Any = {route: str(line) for route, line in changed.items()}
    return f"phases.{phase}.minimize.{term}={written['*'] if '*' in written else to_inline_yaml(written)}"


def _folder_name(text: str) -> str:
    """The text as a row's name; what is odd in a folder's name is replaced, or cut, and a digest keeps it apart."""
    name = re.sub(r"[^A-Za-z0-9._=+,-]+", "_", text)[:LONGEST]
    return name if name == text else f"{name}-{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"
