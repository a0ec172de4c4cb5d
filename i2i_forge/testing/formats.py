"""Promises of checkpoint layouts of other programs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.reading import without_losses
from i2i_forge.run.foreign import Format
from i2i_forge.testing.recipes import small_recipe
from i2i_forge.testing.subject import Subject, described


def _trainers(subject: Subject) -> tuple[Format, Trainer, Trainer]:
    """The layout, and two trainers of its recipe with different weights."""
    layout: Format = subject.component()
    recipe = without_losses(small_recipe(subject.example.recipe or layout.recipe, subject))
    catalog = subject.host.catalog
    one, other = (build_trainer(recipe.model_copy(update={"seed": seed}), catalog) for seed in (1, 2))
    return layout, one, other


def runs(subject: Subject) -> Iterator[str]:
    """It says what it is, and its recipe can be built."""
    try:
        layout, *_ = _trainers(subject)
    except Exception as error:
        yield f"it, or its recipe, cannot be built: {described(error)}"
        return
    if not layout.parts or not layout.title:
        yield "`parts` or `title` is empty"
    if "{part}" not in layout.file and len(layout.parts) > 1:
        yield f"`file` is '{layout.file}': its {len(layout.parts)} parts would have one name; write {{part}} into it"


def comes_back(subject: Subject) -> Iterator[str]:
    """What it exports, it imports again, bit for bit."""
    layout, trained, other = _trainers(subject)
    state, before = trained.state_dict(), other.state_dict()
    files = layout.save(state)
    if missing := sorted(set(layout.parts) - set(files)):
        yield f"it exports no {' and no '.join(missing)}"
    loaded = before | layout.load(files, before)
    for name, value in state.items():
        if not torch.equal(loaded[name], value):
            yield f"'{name}' does not come back"


CHECKS = (comes_back,)
