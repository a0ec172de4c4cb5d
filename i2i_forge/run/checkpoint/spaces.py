"""What the images of a checkpoint's domains were: written into its state, and compared with those of a trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.recipe.domains import Domain

OWN = {"axes", "neighbours", "polarity", "of"}  # what counts of a domain beside its channels: not how it is shown

Spaces = Mapping[str, ImageSpace]


def described(spaces: Spaces) -> dict[str, dict[str, Any]]:
    """Those that are not 8-bit RGB, as plain data."""
    return {name: data for name, space in spaces.items() if (data := space.data())}


def stored(state: Mapping[str, Any]) -> dict[str, ImageSpace]:
    """What `described` gave, of a checkpoint's state. Raises ValueError, TypeError or AttributeError."""
    return {name: ImageSpace(Domain.model_validate(data)) for name, data in state.get("domains", {}).items()}


def differing_spaces(there: Spaces, here: Spaces, *, counts: bool = False) -> list[str]:
    """What differs, a sentence for each domain: "b is 0..1000 there, -1024..3071 HU here".

    Args:
        counts: whether the numbers of channels alone count.
    """
    found = []
    for name in sorted({*there, *here}):
        one, other = there.get(name, RGB8), here.get(name, RGB8)
        if counts and len(one) != len(other):
            found.append(f"{name} has {len(one)} channels there, {len(other)} here")
        elif not counts and _meaning(one) != _meaning(other):
            said = f"is {one} there, {other} here" if str(one) != str(other) else "is described otherwise there"
            found.append(f"{name} {said}")
    return found


def _meaning(space: ImageSpace) -> tuple[Any, ...]:
    channels = [band.channel.model_dump(mode="json", exclude={"range_from"}) for band in space.bands]
    return channels, space.domain.model_dump(mode="json", include=OWN)
