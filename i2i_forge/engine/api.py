"""The Python interface: what the command line does, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_forge.catalog.loading import find_plugins, load_plugins, read_vocabulary
from i2i_forge.catalog.registry import Catalog
from i2i_forge.recipe.reading import Recipe, read_recipe

if TYPE_CHECKING:
    from i2i_forge.engine.trainer import Trainer


def load_recipe(source: str | Path, set: Sequence[str] = (), drop: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; torch is not imported.

    Args:
        source: a path, or the name of an installed recipe ("munit_edge2shoes").
        set: changes, e.g. "data.size=64"; the value is YAML, `~` removes the key.
        drop: terms to leave out, e.g. "generator.style".

    Raises:
        RecipeError: with every mistake at once, each with file:line:column.
        UsageError: a `set` or `drop` that cannot be read.
    """
    return read_recipe(source, set=set, drop=drop, vocabulary=read_vocabulary(find_plugins()))


def build_trainer(recipe: Recipe, device: Any = "cpu", dtype: Any = None, catalog: Catalog | None = None) -> Trainer:
    """The recipe's trainer, freshly initialised from the recipe's seed.

    Args:
        recipe: from `load_recipe`.
        device: where the networks live and the steps run.
        dtype: of parameters and images, torch.float32 by default.
        catalog: the components; by default those of the installed plugins.

    Raises:
        RecipeError: something in the recipe does not fit the components.
        PluginError: a component is not there.
    """
    import torch

    from i2i_forge.engine.build import build_trainer as build

    return build(recipe, catalog or load_plugins().catalog, device, dtype or torch.float32)
