"""What a recipe leaves to its training images: found once, when a run begins, and written into its recipe.

That is the ranges of values that are said as percentiles, and how the codes of files are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.case_source import CaseSource
from i2i_forge.data.domains import Domains, build_dataset
from i2i_forge.data.source import Replacing, Source
from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.domains import Domain
from i2i_forge.recipe.reading import Recipe
from i2i_forge.system import distributed


def with_findings(recipe: Recipe, catalog: Catalog, known: Recipe | None, note: Callable[[str], None]) -> Recipe:
    """The recipe with numbers in place of percentiles over the training images, and the types of their codes.

    Args:
        known: the recipe of the run that is resumed, whose findings are taken over where they answer the same question.
        note: is told what was found.

    Raises:
        RecipeError: the data set cannot say; DataError: its images cannot be used.
    """
    spaces, before = Domains.of(recipe, catalog), dict(known.domains) if known else {}
    asked = [name for name in recipe.domains if _lacks_range(spaces[name]) or _lacks_type(spaces, name)]
    found = {name: before[name] for name in asked if name in before and _answers(before[name], spaces[name])}
    if missing := sorted({*asked} - found.keys()):
        sources = build_dataset(recipe.data.use, recipe.data.options, spaces, catalog, "data").sources("train")
        mine = {name: _found(sources, name, spaces) for name in missing if distributed.rank() == 0}
        for name, domain in distributed.everyone(mine)[0].items():
            found[name] = domain
            if _lacks_range(spaces[name]):
                note(f"domains.{name}: {ImageSpace(domain)}, found in the training images")
    return recipe.model_copy(update={"domains": {**recipe.domains, **found}}) if found else recipe


def _found(sources: Sequence[Source], name: str, spaces: Domains) -> Domain:
    """What the training images say of a domain; nothing where they are no files of codes."""
    each = (source.source if isinstance(source, Replacing) else source for source in sources)
    source = next((s for s in each if isinstance(s, CaseSource) and name in s.names), None)
    space = spaces[name]
    if _lacks_range(space):
        if source is None:
            raise RecipeError(
                f"domains.{name}.range: the data set cannot find it in its images", fix="write `range` as two numbers"
            )
        space = space.with_ranges(source.ranges(name))
    if source is not None and _lacks_type(spaces, name):
        write = {**space.data().get("write", {}), **source.stored_as(name)}
        return Domain.model_validate({**space.data(), "write": write})
    return space.domain


def _lacks_range(space: ImageSpace) -> bool:
    """Whether a range of it is to be found in the training images."""
    return any(said is not None and said.over == "training" for said in space.percentiles())


def _lacks_type(spaces: Domains, name: str) -> bool:
    """Whether images are written as this one, with codes as its training files have them."""
    space = spaces[name]
    return name in spaces.translated and space.kind == "measure" and space.domain.write.dtype == "training"


def _answers(domain: Domain, space: ImageSpace) -> bool:
    """Whether a description is what was found for one with percentiles."""
    asked: list[Any] = [(p and p.over == "training" and p.model_dump()) or None for p in space.percentiles()]
    origins = [channel.range_from for channel in domain.quantities()]
    return [o and o.model_dump(include={"percentile", "over", "within"}) for o in origins] == asked
