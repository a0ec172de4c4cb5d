"""Recipes by name: those that come with i2i_forge, and those of installed packages of plugins.

A package's recipes are the YAML files beside its plugin's module, and in the folder `recipes` there. They are found
without importing anything of the package.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from i2i_forge.catalog.loading import GROUP
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.catalog.signatures import module_file
from i2i_forge.errors import RecipeError, suggest
from i2i_forge.system.files import read_text


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe and the package that brings it."""

    package: str
    file: Path

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.file.stem

    @property
    def full_name(self) -> str:
        """`package:name`."""
        return f"{self.package}:{self.name}"


def named_recipes() -> dict[str, NamedRecipe]:
    """Every recipe, by the name that finds it: `package:name` where several packages bring one of that name."""
    found = _installed()
    count = Counter(recipe.name for recipe in found)
    return {recipe.full_name if count[recipe.name] > 1 else recipe.name: recipe for recipe in found}


def shipped_recipes(below: str = "") -> dict[str, Path]:
    """The recipes that come with i2i_forge, by name; or what lies in a folder below them."""
    folder = Path(str(importlib.resources.files("i2i_forge_recipes"))) / below
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_recipe(source: str | Path, beside: Path = Path()) -> Path:
    """The file of a recipe.

    Args:
        source: its path, its name, or `package:name`; a file goes before a name.
        beside: the folder that a path may start from, the current one otherwise.

    Raises:
        RecipeError: there is none, or several packages bring one of that name.
    """
    for file in (beside / source, Path(source)):
        if _is(Path.is_file, file):
            return file
    package, _, name = str(source).rpartition(":")
    installed = _installed()
    found = [r for r in installed if r.name == name and (not package or _same(package, r.package))]
    if len(found) > 1:
        choices = sorted({r.full_name for r in found})
        raise RecipeError(
            f"{source}: several recipes have that name: {' and '.join(str(r.file) for r in found)}",
            fix=f"say which: {' or '.join(choices)}" if len(choices) > 1 else "give its path",
        )
    if found:  # a folder of that name may be a run
        here = Path.cwd()
        return found[0].file.relative_to(here) if found[0].file.is_relative_to(here) else found[0].file
    if _is(Path.is_dir, file):
        raise RecipeError(f"{source or 'the empty name'}: it is a folder", fix="name a recipe's file")
    if _is(Path.exists, file):
        return file
    names = {recipe.name for recipe in installed}
    if file.stem in names:
        raise RecipeError(
            f"{source}: there is no such file, but a recipe of that name is installed",
            fix=f"name it without folder and ending: {file.stem}",
        )
    raise RecipeError(f"{source}: there is no such recipe", fix=suggest(file.stem, names, what="recipe"))


def is_recipe(file: Path) -> bool:
    """Whether a YAML file is a recipe, and not a study or something of another program."""
    try:
        text = read_text(file)
    except OSError:
        return False
    return re.search("^(trainer|base):", text, re.MULTILINE) is not None


def _installed() -> list[NamedRecipe]:
    ours = [NamedRecipe(HOST, file) for file in shipped_recipes().values()]
    return [*ours, *sorted(set(_of_others()), key=lambda recipe: (recipe.package, recipe.file))]


def _of_others() -> Iterator[NamedRecipe]:
    """Recipes of the packages that announce plugins; of one that is damaged or gone, none."""
    for point in importlib.metadata.entry_points(group=GROUP):
        with suppress(TypeError, KeyError, AttributeError, ImportError, ValueError, OSError):
            package = point.dist.name if point.dist else ""
            if package and not _same(package, HOST):
                yield from (NamedRecipe(package, file) for file in _beside(point.module))


def _beside(module: str) -> list[Path]:
    file = module_file(module)
    if file is None or (file.name != "__init__.py" and "." not in module):  # a lone module's folder is everybody's
        return []
    folders = (file.parent, file.parent / "recipes")
    return [found for folder in folders for found in folder.glob("*.yaml") if is_recipe(found)]


def _same(package: str, other: str) -> bool:
    return canonicalize_name(package) == canonicalize_name(other)


def _is(kind: Callable[[Path], bool], file: Path) -> bool:
    try:
        return kind(file)
    except OSError:  # the name is too long
        return False
