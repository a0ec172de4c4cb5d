"""Translators with tiny networks: of shipped methods, and of toys with a pass of their own."""

from typing import Any

import toy
from loaded import CATALOG
from shrink import shrunk

from i2i_forge.engine.build import build_trainer
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.translate import Translator


def small(name: str, *changes: str, **options: Any) -> Translator:
    """A shipped method after seven steps, as if."""
    recipe = read_recipe(name, set=[*shrunk(read_recipe(name), CATALOG, "unused"), *changes])
    return Translator(build_trainer(recipe, CATALOG, **options), recipe, 7)


def of_pass(forward: type[toy.ToyForward]) -> Translator:
    """A toy with this pass."""
    made = toy.catalog()
    made.trainers.add("other", type("Other", (toy.Toy,), {"forward_pass": forward}))
    return Translator(toy.build(trainer="other", of=made), toy.recipe(), 0)
