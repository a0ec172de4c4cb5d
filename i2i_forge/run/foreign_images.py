"""What the images are of another program's checkpoints, whose files know numbers of channels and nothing of values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import CheckpointError


def described(counts: Mapping[str, int], known: Collection[str]) -> dict[str, dict[str, Any]]:
    """`domains` of a recipe for images of so many channels: one is 8-bit grey, others than three are of 0 to 255.

    Args:
        counts: by domain.
        known: domains that the recipe describes itself.
    """
    kinds: dict[int, dict[str, Any]] = {1: {"kind": "grey8"}}
    return {
        name: kinds.get(count, {"channels": count, "range": [0, 255]})
        for name, count in counts.items() if count != 3 and name not in known
    }  # fmt: skip


def refuse_other_values(spaces: Mapping[str, ImageSpace], domains: Collection[str], title: str) -> None:
    """Refuse to write weights for a program that takes all images for 8-bit ones.

    Raises:
        CheckpointError: those of a domain have another range, or a curve.
    """
    for name in domains:
        if not _is_8_bit(space := spaces[name]):
            raise CheckpointError(
                f"domains.{name}: its images are {space}, which a checkpoint of {title} cannot say: its program takes "
                "all images for values from 0 to 255",
                fix="use the run here (forge translate), or as a program: forge export",
            )


def _is_8_bit(space: ImageSpace) -> bool:
    channels = [band.channel for band in space.bands]
    straight = all(channel.curve == "linear" and channel.convert == "none" for channel in channels)
    known = all((band.low, band.high) == (0, 255) for band in space.bands)
    return space.kind in ("rgb8", "grey8") or (space.kind == "measure" and straight and known)
