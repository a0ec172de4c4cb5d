"""The domains of a recipe: what their images are, and the formats that their files may be of."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from i2i_forge.catalog.construct import call
from i2i_forge.catalog.registry import Catalog, Registry
from i2i_forge.data.file_formats import Files
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.domains import Domain
from i2i_forge.recipe.schema import RecipeModel

LABELS = Domain(kind="labels")


class Domains(Mapping[str, ImageSpace]):
    """Domain -> its space; every name that nobody described is 8-bit RGB.

    Iterating gives those that are described, and further images.

    Args:
        spaces: by domain, or name of a further image.
        files: the formats that files of images may have.
        translated: the domains that a method leads from and to; all others are further images.
    """

    def __init__(
        self, spaces: Mapping[str, ImageSpace] = {}, files: Files | None = None,
        translated: Collection[str] = ("a", "b"),
    ) -> None:  # fmt: skip
        self._spaces, self.files, self.translated = dict(spaces), files or Files(Registry("files")), translated

    @classmethod
    def of(cls, recipe: RecipeModel, catalog: Catalog) -> Domains:
        """Those of a recipe."""
        names = [*recipe.domains, *sorted(recipe.further_images() - recipe.domains.keys())]
        spaces = {name: ImageSpace(LABELS if name in recipe.valid() else recipe.domains.get(name)) for name in names}
        routes = catalog.trainers.get(recipe.trainer).routes.values()
        return cls(spaces, Files(catalog.files), {name for route in routes for name in route})

    @property
    def are_rgb8(self) -> bool:
        """Whether all of them are 8-bit RGB."""
        return all(space.is_rgb8 for space in self._spaces.values())

    def data(self) -> dict[str, Any]:
        """Their descriptions as plain data; {} where there are none."""
        return {name: space.data() for name, space in self._spaces.items()}

    def with_spaces(self, spaces: Mapping[str, ImageSpace]) -> Domains:
        """These with some replaced."""
        return Domains({**self._spaces, **spaces}, self.files, self.translated)

    def __getitem__(self, name: str) -> ImageSpace:
        return self._spaces.get(name, RGB8)

    def __contains__(self, name: object) -> bool:
        return name in self._spaces

    def __iter__(self) -> Iterator[str]:
        return iter(self._spaces)

    def __len__(self) -> int:
        return len(self._spaces)


def build_dataset(name: str, options: Mapping[str, Any], domains: Domains, catalog: Catalog, where: str) -> Any:
    """A data set of the catalog, told what the images of its domains are.

    Args:
        name: of the data set.
        options: its keyword arguments, as a recipe says them.
        where: their key in the recipe.

    Raises:
        RecipeError: an option does not fit, or the images are described and the data set gives 8-bit RGB alone.
    """
    component = catalog.datasets.get(name)
    if "domains" in inspect.signature(component).parameters:
        return call(component, {**options, "domains": domains}, where)
    if not domains.are_rgb8:
        able = [e.name for e in catalog.datasets.entries() if "domains" in inspect.signature(e.component).parameters]
        raise RecipeError(
            f"{where}.use: {name} gives 8-bit RGB, and `domains` describes {', '.join(domains)}",
            fix=f"use {' or '.join(able)}, or leave `domains` out",
        )
    return call(component, options, where)
