"""What a recipe leaves to its training images: found once, when a run begins, and written into its recipe.

That is the ranges of values that are said as percentiles, and how the codes of files are stored. A run that is resumed
keeps them, and draws its noise as it began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    if known and recipe.noise != known.noise:
        note(f"noise: {known.noise}, as this run began")
        recipe = recipe.model_copy(update={"noise": known.noise})
    spaces, before = Domains.of(recipe, catalog), dict(known.domains) if known else {}
    asked = [name for name in recipe.domains if _lacks_range(spaces[name]) or _lacks_type(spaces, name)]
    found = {name: before[name] for name in asked if name in before and _answers(before[name], name, spaces)}
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
        return _stored(space, source.stored_as(name))
    return space.domain


def _stored(space: ImageSpace, said: Mapping[str, Any]) -> Domain:
    """The description with how its codes are stored."""
    return Domain.model_validate({**space.data(), "write": {**space.data().get("write", {}), **said}})


def _lacks_range(space: ImageSpace) -> bool:
    """Whether a range of it is to be found in the training images."""
    return any(said is not None and said.over == "training" for said in space.percentiles())


def _lacks_type(spaces: Domains, name: str) -> bool:
    """Whether images are written as this one, with codes as its training files have them."""
    space = spaces[name]
    return name in spaces.translated and space.kind == "measure" and space.domain.write.dtype == "training"


def _answers(before: Domain, name: str, spaces: Domains) -> bool:
    """Whether a description is the one that is asked for, with what was found."""
    space, channels = spaces[name], before.quantities()
    asked = [said if said is not None and said.over == "training" else None for said in space.percentiles()]
    origins = [c.range_from and c.range_from.model_dump(include={"percentile", "over", "within"}) for c in channels]
    if origins != [said and said.model_dump() for said in asked]:
        return False
    if any(asked):
        space = space.with_ranges(
            [
                {"range": c.range, "range_from": c.range_from} if said else {}
                for c, said in zip(channels, asked, strict=True)
            ]
        )
    if _lacks_type(spaces, name):
        space = ImageSpace(_stored(space, before.write.model_dump(include={"dtype", "slope", "offset"})))
    return space.data() == ImageSpace(before).data()
