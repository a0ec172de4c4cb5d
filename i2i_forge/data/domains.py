"""The domains of a recipe: what their images are, and the formats that their files may be of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from i2i_forge.catalog.registry import Catalog, Registry
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.data.stored import Files
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

    def __iter__(self) -> Iterator[str]:
        return iter(self._spaces)

    def __len__(self) -> int:
        return len(self._spaces)
