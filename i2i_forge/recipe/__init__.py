"""From text to a checked recipe: YAML, terms, schedules, names, checks, the JSON schema. Nothing here imports torch."""

from typing import TYPE_CHECKING

from i2i_forge.system.verbs import names_from

if TYPE_CHECKING:
    from i2i_forge.recipe.reading import Recipe, read_recipe

__all__ = ["Recipe", "read_recipe"]

__getattr__ = names_from(__name__, dict.fromkeys(__all__, "recipe.reading"))
