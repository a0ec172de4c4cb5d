"""Ranges that are to be found in the training images: found once, when a run begins, and written into its recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains, build_dataset
from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.domains import Domain
from i2i_forge.recipe.reading import Recipe
from i2i_forge.system import distributed


def with_ranges(recipe: Recipe, catalog: Catalog, known: Recipe | None, note: Callable[[str], None]) -> Recipe:
    """The recipe with numbers in place of percentiles over the training images.

    Args:
        known: the recipe of the run that is resumed, whose numbers are taken over where they are of the same question.
        note: is told what was found.

    Raises:
        RecipeError: the data set cannot say; DataError: its images cannot be used.
    """
    spaces = Domains.of(recipe, catalog)
    unknown = {name: spaces[name] for name in recipe.domains if _is_open(spaces[name])}
    if not unknown:
        return recipe
    before = dict(known.domains) if known else {}
    found = {name: before[name] for name in unknown.keys() & before.keys() if _answers(before[name], unknown[name])}
    if found.keys() != unknown.keys():
        dataset = build_dataset(recipe.data.use, recipe.data.options, spaces, catalog, "data")
        if not hasattr(dataset, "ranges"):
            raise RecipeError(
                f"data.use: {recipe.data.use} cannot find ranges in its images", fix="write `range` as two numbers"
            )
        missing = sorted(unknown.keys() - found.keys())
        mine = {name: dataset.ranges(name) for name in missing if distributed.rank() == 0}
        for name, ranges in distributed.everyone(mine)[0].items():
            space = unknown[name].with_ranges(ranges)
            found[name] = space.domain
            note(f"domains.{name}: {space}, found in the training images")
    return recipe.model_copy(update={"domains": {**recipe.domains, **found}})


def _is_open(space: ImageSpace) -> bool:
    """Whether a range of it is to be found in the training images."""
    return any(said is not None and said.over == "training" for said in space.percentiles())


def _answers(domain: Domain, space: ImageSpace) -> bool:
    """Whether a description with numbers is what was found for one with percentiles."""
    asked: list[Any] = [p and p.model_dump() for p in space.percentiles()]
    origins = [channel.range_from for channel in domain.quantities()]
    kept = {"percentile", "over", "within"}
    return [o and o.model_dump(include=kept) for o in origins] == asked
