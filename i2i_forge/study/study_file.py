"""A study as a file: YAML -> StudyPlan, with all mistakes at once, each with file:line:column.

    study: styles                         # its name
    steps: 1_500                          # of every run
    seeds: 3
    all: {data.size: 64}                  # --set for every row
    runs:                                 # the rows of the table; drop and set are those of the command line
      full: {recipe: munit_synthetic}
      no_style: {recipe: munit_synthetic, drop: [generator.style]}
    baseline: full                        # the first run, unless said
    metrics: {lpips-diversity: allpairs, structure: ~}      # metric: protocol; ~ is the metric's own
    backbones: {kid: classifier}
    classifier: {data: procedural_shoes, set: {seed: 1}}    # trained once, for the metrics of modes

`inputs` and `samples` stand in place of the protocols' numbers; `data: {paired: false}` in place of options of the data
set when runs are measured, so that all are measured on the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.errors import ForgeError, RecipeError, UsageError, suggest
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.section import Count
from i2i_forge.recipe.yaml_source import Keys, YamlSource, read_yaml
from i2i_forge.recipe.yaml_text import to_inline_yaml
from i2i_forge.study.variants import Asked, ClassifierData, Row, StudyPlan

RowName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._=+-]*$", max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunEntry(_Section):
    """A row of the table."""

    recipe: str
    drop: list[str] = []
    set: dict[str, Any] = {}


class ClassifierEntry(_Section):
    """What the classifier of modes is trained on."""

    data: str
    set: dict[str, Any] = {}


class StudyModel(_Section):
    """A study file."""

    study: RowName
    steps: Count | None = None
    seeds: Count = 1
    all: dict[str, Any] = {}
    runs: Annotated[dict[RowName, RunEntry], Field(min_length=1)]
    baseline: str | None = None
    metrics: Annotated[dict[str, str | None], Field(min_length=1)] = {"lpips-diversity": None}
    backbones: dict[str, str] = {}
    inputs: Count | None = None
    samples: Count | None = None
    data: dict[str, Any] = {}
    classifier: ClassifierEntry | None = None


RESERVED = "classifier"  # the folder beside the rows'


def find_study(source: str) -> Path | None:
    """The file of a study that is given by path, or by the name of one that comes with i2i_forge; None for a recipe."""
    file = Path(source)
    if file.is_file():
        data = read_yaml(file).data
        return file if "study" in data or "runs" in data else None
    return shipped_studies().get(source)


def shipped_studies() -> dict[str, Path]:
    """The studies that come with i2i_forge, by name."""
    return shipped_recipes("ablations")


def read_study(file: Path, *, changes: Sequence[str] = (), vocabulary: Vocabulary | None = None) -> StudyPlan:
    """Read and check a study, its recipes too.

    Args:
        changes: as for --set, for every row, after those of the file.

    Raises:
        RecipeError: with every mistake, each with file:line:column.
    """
    source = read_yaml(file)
    problems = list(_shape_problems(source.data))
    if not problems:
        model = StudyModel.model_validate(source.data)
        problems = list(_name_problems(model, vocabulary))
    if not problems:
        plan = _plan(model, file, changes)
        problems = list(_recipe_problems(plan, vocabulary))
    if problems:
        lines = [f"{_where(source, keys)}: {'.'.join(map(str, keys))}: {text}" for keys, text in problems]
        raise RecipeError("\n".join(lines), fix=f"mistakes in the study: {len(lines)}")
    return plan


def as_changes(values: Mapping[str, Any]) -> tuple[str, ...]:
    """A mapping as --set takes it: "data.size=64"."""
    return tuple(f"{key}={to_inline_yaml(value)}" for key, value in values.items())


def _plan(model: StudyModel, file: Path, changes: Sequence[str]) -> StudyPlan:
    asked = Asked(
        tuple(model.metrics),
        tuple(f"{metric}={protocol}" for metric, protocol in model.metrics.items() if protocol),
        tuple(f"{metric}={backbone}" for metric, backbone in model.backbones.items()),
        model.inputs,
        model.samples,
        data=as_changes(model.data),
    )
    data = model.classifier
    return StudyPlan(
        model.study,
        {name: Row(_recipe(run, file), as_changes(run.set), tuple(run.drop)) for name, run in model.runs.items()},
        model.baseline or next(iter(model.runs)),
        (*as_changes(model.all), *changes),
        model.steps,
        model.seeds,
        asked,
        ClassifierData(data.data, as_changes(data.set)) if data else None,
    )


def _recipe(run: RunEntry, file: Path) -> str:
    beside = file.parent / run.recipe
    return str(beside) if beside.is_file() else run.recipe


def _shape_problems(data: dict[str, Any]) -> Iterator[tuple[Keys, str]]:
    """What pydantic finds, in plain words."""
    try:
        StudyModel.model_validate(data)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            keys: Keys = tuple(part for part in one["loc"] if part != "[key]")
            if one["type"] == "extra_forbidden":
                section = StudyModel if len(keys) == 1 else ClassifierEntry if keys[0] == "classifier" else RunEntry
                yield keys, f"there is no such key; {suggest(str(keys[-1]), section.model_fields, what='key')}"
            elif one["type"] == "missing":
                yield keys, "this key is missing"
            else:
                yield keys, one["msg"][:1].lower() + one["msg"][1:]


def _name_problems(model: StudyModel, vocabulary: Vocabulary | None) -> Iterator[tuple[Keys, str]]:
    """Names of rows and metrics that are not there."""
    if model.baseline is not None and model.baseline not in model.runs:
        yield ("baseline",), f"there is no run '{model.baseline}'; {suggest(model.baseline, model.runs, what='run')}"
    if RESERVED in model.runs:
        yield ("runs", RESERVED), "the classifier's folder is called so; give the run another name"
    known = vocabulary.names("metrics") if vocabulary and vocabulary.complete else None
    for metric in model.metrics:
        if known is not None and metric not in known:
            yield ("metrics", metric), f"there is no metric '{metric}'; {suggest(metric, known, what='metric')}"
    for metric in model.backbones:
        if metric not in model.metrics:
            yield ("backbones", metric), f"'{metric}' is not measured; add it to metrics"


def _recipe_problems(plan: StudyPlan, vocabulary: Vocabulary | None) -> Iterator[tuple[Keys, str]]:
    for name, row in plan.rows.items():
        try:
            read_recipe(row.source, set=(*plan.changes, *row.changes), drop=row.drops, vocabulary=vocabulary)
        except (RecipeError, UsageError) as error:
            yield ("runs", name), _one_line(error)


def _one_line(error: ForgeError) -> str:
    first, *more = error.message.splitlines()
    return first + (f" (and {len(more)} more)" if more else "") + (f"; {error.fix}" if error.fix and not more else "")


def _where(source: YamlSource, keys: Keys) -> str:
    while keys not in source.positions:
        keys = keys[:-1]
    return str(source.positions[keys])
