"""A study's folder, and how far each run in it is.

    OUT/table.md  table.json  classifier/
    OUT/<row>/<row>.yaml  seed-0/  seed-0.log        the row's recipe, its runs, what their commands printed

Nothing else is remembered: a run is done when its checkpoint has all steps and its records are of these weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import CheckpointError, ForgeError, disk_error
from i2i_forge.measure.records import Record
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import differences, settings_of
from i2i_forge.study.commands import run_folder
from i2i_forge.study.measures import Measures
from i2i_forge.study.plans import Variant
from i2i_forge.system.files import one_line, write_whole
from i2i_forge.system.outputs import refuse_special
from i2i_forge.translate.loading import load


@dataclass
class State:
    """A run of the study as it is now.

    Attributes:
        is_trained: its newest checkpoint verifies and has all steps.
        records: metric -> what was measured of these weights.
        failure: why it is not further, after it was tried; "" otherwise.
    """

    variant: Variant
    folder: Path
    is_trained: bool = False
    records: Mapping[str, list[Record]] = field(default_factory=dict)
    failure: str = ""

    def unmeasured(self, measures: Measures) -> list[str]:
        """The metrics that have no record."""
        return [name for name in measures.asked.metrics if not self.records.get(name)]


def write_recipes(variants: Sequence[Variant], out: Path) -> None:
    """Write each row's recipe.

    Raises:
        CheckpointError: a run in the folder is of another recipe.
        UsageError: the folder cannot be written.
    """
    for variant in variants:
        folder = run_folder(out, variant)
        if not RunFolder(folder).resolved.is_file():
            continue
        before, now = (settings_of(recipe, places=True) for recipe in (RunFolder(folder).recipe(), variant.recipe))
        if changed := differences(before, now):  # a run that is done is not resumed, and would not see other images
            raise CheckpointError(
                f"{folder} is a run of another recipe than '{variant.name}' is now: {changed}",
                fix="choose another folder with --out, or remove that run",
            )
    folders = [out, *(out / variant.name for variant in variants)]
    inside = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    refuse_special(path for path in inside if not path.is_dir())  # a run may lie elsewhere
    for variant in variants:
        file = recipe_file(out, variant)
        text = f"# row '{one_line(variant.name)}' of a study; each run sets its seed\n{variant.recipe.to_yaml()}"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, text)
        except OSError as error:
            raise disk_error(file, error, refused="choose another --out") from error


def recipe_file(out: Path, variant: Variant) -> Path:
    """Where the row's recipe is."""
    return out / variant.name / f"{variant.name}.yaml"


def state_of(variant: Variant, out: Path, measures: Measures, catalog: Catalog) -> State:
    """How far a run is. Raises CheckpointError when it has taken more steps than the study has."""
    state = State(variant, run_folder(out, variant))
    try:
        translator = load(state.folder, catalog=catalog)
    except CheckpointError:  # none yet; or all damaged, which the training command will say
        return state
    if translator.step > variant.recipe.steps:
        raise CheckpointError(
            f"{state.folder} has taken {translator.step:,} steps, the study has {variant.recipe.steps:,}",
            fix=f"use --steps {translator.step}, or another folder with --out",
        )
    state.is_trained = translator.step == variant.recipe.steps
    if state.is_trained:
        try:
            state.records = measures.recorded(state.folder, translator)
        except ForgeError as error:
            state.failure = error.message
    return state
