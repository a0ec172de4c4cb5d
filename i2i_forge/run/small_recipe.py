"""A first recipe for somebody's own folder: which small recipe suits it, at which size, and how long it takes here."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_forge.catalog.registry import Catalog
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.data.survey import Part, Survey
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.image_sizes import common_stride
from i2i_forge.errors import DataError, ForgeError, RecipeError, UsageError, suggest
from i2i_forge.recipe.names import named_recipes
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.recipe.yaml_text import to_inline_yaml
from i2i_forge.system.files import one_line

SMALL = "_synthetic"  # how the names of recipes end that a processor can train
FOR_PAIRS, UNPAIRED = "pix2pix_synthetic", "munit_small"  # the bases if nobody chooses a method
HELD_OUT = ("test", "val")


@dataclass(frozen=True)
class Proposal:
    """A recipe for a folder.

    Attributes:
        base: the small recipe that it changes.
        data: the section `data` without its size.
    """

    base: str
    data: dict[str, Any]

    @property
    def halves(self) -> bool:
        """Whether each image is two, side by side."""
        usual = "side_by_side" if self.data["use"] == "paired_folders" else ""
        return bool(self.data.get("layout", usual) == "side_by_side")

    def shorter_side(self, found: Survey) -> int:
        """Pixels of the typical image's shorter side. Raises DataError when no image can be used."""
        sides = [min(w // (1 + self.halves), h) for part in found.parts for w, h in part.sizes.values()]
        if not sides:
            raise DataError("no image of the folder can be used", fix="copy them again, or convert them to PNG or JPEG")
        return int(statistics.median_low(sides))

    def text(self, size: int) -> str:
        """The recipe as its file has it."""
        return f"base: {self.base}\ndata: {to_inline_yaml({**self.data, 'size': size})}\n"

    def recipe(self, size: int, vocabulary: Vocabulary) -> Recipe:
        """The same, checked. Raises DataError when a recipe cannot hold a folder's name: it has control characters."""
        change = f"data={to_inline_yaml({**self.data, 'size': size})}"
        try:
            return read_recipe(self.base, set=[change], vocabulary=vocabulary)
        except RecipeError:
            cause = f"{one_line(self.data['root'])}: a recipe cannot hold this name, or that of a folder in it"
            raise DataError(cause, fix="rename it, or give a link to it") from None


def propose(found: Survey, root: Path, method: str | None = None) -> Proposal:
    """The small recipe and its data for a folder.

    Args:
        found: what the folder holds.
        root: the folder.
        method: of the small recipe; by default one that needs pairs where there are pairs.

    Raises:
        DataError: the folder has no layout that a recipe knows.
        UsageError: there is no small recipe of the method, or it needs pairs that are not there.
    """
    uses: list[dict[str, Any]] = [*found.uses] or _drawings(found, root)
    has_pairs = uses[0]["use"] != "unpaired_folders"
    base = _small_recipe(method) if method else FOR_PAIRS if has_pairs else UNPAIRED
    needs_pairs = bool(read_recipe(base).data.options.get("paired"))
    if needs_pairs and not has_pairs:
        raise UsageError(
            f"--method {method} learns from pairs, and {root} has none",
            fix="give both images of a pair the same name in trainA and trainB, or leave --method out",
        )
    data = uses[0 if needs_pairs else -1]
    if data["use"] == "edges_of_photos" and needs_pairs:
        data = {**data, "paired": True}
    return Proposal(base, {**data, "on_bad": "skip"} if found.damaged else data)


def fitting_size(base: str, side: int, catalog: Catalog, wanted: int | None = None) -> int:
    """The size to train on: what is wanted, or the largest up to the base's own that is no larger than the images.

    Raises:
        UsageError: the networks cannot take what is wanted.
    """
    recipe = read_recipe(base)
    own: int = recipe.data.options["size"]
    multiple = common_stride(network for _, network in build_trainer(recipe, catalog, "meta").modules())
    size = wanted or min(own, side) // multiple * multiple
    try:
        trace_recipe(read_recipe(base, set=[f"data.size={size}"]), catalog)
    except (ForgeError, RuntimeError, ValueError):
        if wanted is None:
            return own
        nearest = max(own, round(wanted / multiple) * multiple)
        raise UsageError(
            f"--size {wanted}: the networks of {base} cannot take it", fix=f"give a multiple of {multiple}: {nearest}"
        ) from None
    return size


def _small_recipe(method: str) -> str:
    small = {name.removesuffix(SMALL): name for name in named_recipes() if name.endswith(SMALL)}
    if method not in small:
        raise UsageError(f"--method: there is no small recipe of '{method}'", fix=suggest(method, small))
    return small[method]


def _drawings(found: Survey, root: Path) -> list[dict[str, Any]]:
    """Photographs alone: drawings are made of them."""
    train: list[Part] = [part for part in found.parts if not part.name.startswith(HELD_OUT)]
    test = [part for part in found.parts if part.name.startswith(HELD_OUT)]
    if len(train) != 1 or len(test) > 1:
        names = ", ".join(part.name for part in found.parts)
        raise DataError(
            f"{root} has no layout that a recipe knows; it holds {names}",
            fix="put the images into trainA and trainB (equal names are pairs; testA, testB), or pairs side by side "
            "into train (test)",
        )
    named = {"photos": train[0].name, **({"test_photos": test[0].name} if test else {})}
    return [{"use": "edges_of_photos", "root": str(root), **{k: v for k, v in named.items() if v != "."}}]
