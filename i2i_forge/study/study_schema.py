"""The shape of a study file.

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

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from i2i_forge.recipe.schema import Count

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
