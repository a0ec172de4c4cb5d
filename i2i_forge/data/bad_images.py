"""Images that cannot be used: refused before training, or skipped.

Most show it in their header, which is read before training; `on_bad: skip` leaves them out. Damage behind the header is
met when the image is decoded; the next image of the list is taken instead. Both depend on the files alone, so a batch
stays a function of (seed, step).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from i2i_forge.data.decode import check_header
from i2i_forge.data.folders import SHOWN
from i2i_forge.data.source import Source
from i2i_forge.errors import DataError

log = logging.getLogger("i2i_forge")
OnBad = Literal["error", "skip"]


def check_images(paths: Sequence[Path], on_bad: OnBad | None = None) -> dict[Path, tuple[int, int]]:
    """(width, height) of each image that can be used, from its header.

    Args:
        on_bad: "skip" notes files that cannot be used; otherwise they are an error. None: the user has no choice.

    Raises:
        DataError: one error for all files that cannot be used, with how many there are and the first five; or none can.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    errors: list[DataError] = []
    for path in paths:
        try:
            sizes[path] = check_header(path)
        except DataError as error:
            errors.append(error)
    if errors:
        first = "\n".join(error.message for error in errors[:SHOWN])
        message = f"{len(errors)} of {len(paths)} images cannot be used: {first}"
        if on_bad != "skip" or not sizes:
            fix = errors[0].fix if len(errors) == 1 else "repair or remove these files"
            raise DataError(message, fix=f"{fix}; or go on without (on_bad: skip)" if on_bad == "error" else fix)
        log.warning("%s", message)
    return sizes


def tolerant(source: Source, on_bad: OnBad) -> Source:
    """The source as it is, or with what turns out to be bad replaced."""
    return Replacing(source) if on_bad == "skip" else source


class Replacing:
    """A source whose examples that cannot be read are replaced, each by the next that can."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._noted: set[int] = set()

    def __len__(self) -> int:
        return len(self.source)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """As the source's; raises DataError when no example at all can be read."""
        return self._readable(index, random)[1]

    def name(self, index: int) -> str:
        """The file that is read instead of this one, if it is replaced."""
        return self.source.name(self._readable(index, None)[0])

    def _readable(self, index: int, random: torch.Generator | None) -> tuple[int, dict[str, Tensor]]:
        for offset in range(len(self)):
            place = (index + offset) % len(self)
            try:
                return place, self.source.example(place, random)
            except DataError as error:
                self._note(place, error)
                last = error
        raise last

    def _note(self, place: int, error: DataError) -> None:
        if place not in self._noted:
            self._noted.add(place)
            log.warning("the next image is taken instead (%d so far): %s", len(self._noted), error.message)
