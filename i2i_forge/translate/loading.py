"""The translator of a run that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.catalog.registry import Catalog
from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError
from i2i_forge.recipe.reading import without_losses
from i2i_forge.run import checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import edits
from i2i_forge.system.files import warn
from i2i_forge.translate.pictures import Translations
from i2i_forge.translate.translator import Translator


def load(
    run: str | Path, device: torch.device | str = "cpu", catalog: Catalog | None = None, *, averaged: bool = True
) -> Translator:
    """The translator of a run's newest verified checkpoint.

    Args:
        run: a folder that `forge train` or `forge checkpoint import` made.
        device: where to translate.
        catalog: the components; by default those of the installed plugins.
        averaged: with the averages of its weights, if the recipe has `ema`.

    Raises:
        CheckpointError: there is no run, no checkpoint, or all are damaged.
    """
    folder = RunFolder.open(run)
    found = checkpoint.newest(folder.checkpoints, warn)
    if found is None:
        raise CheckpointError(
            f"{run} has no checkpoint yet", fix="train it first: the same `forge train` command again"
        )
    recipe = folder.recipe()
    if edited := edits(found.state, recipe):
        warn(f"the recipe of {run} was edited after it was trained, and is used as it is now: {edited}")
    trainer = build_trainer(without_losses(recipe), catalog or load_plugins().catalog, device)
    checkpoint.restore(found, trainer, optimizers=False)
    sha256 = found.model_sha256
    if trainer.ema and averaged:
        trainer.ema.settle()
        sha256 = found.ema_sha256 or sha256
    return Translator(trainer.alike(ema=None), recipe, found.step, sha256, edited)


def translate(run: str | Path, images: Any, route: str = "ab", **options: Any) -> Translations | list[Translations]:
    """Load a run and call its translator: `i2i_forge.translate("runs/munit", "photo.jpg", styles=3)`."""
    return load(run)(images, route, **options)
