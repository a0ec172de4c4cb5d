"""Images that cannot be used: refused before training, or skipped.

Most show it in their header, which is read before training; `on_bad: skip` leaves them out. Damage behind the header is
met when the image is decoded; the next image of the list is taken instead. Both depend on the files alone, so a batch
stays a function of (seed, step). That a disk or a network fails is no damage of an image: it is always an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from i2i_forge.data.decode import BadImage
from i2i_forge.data.folders import SHOWN
from i2i_forge.data.header_check import Headers, read_headers
from i2i_forge.data.path_list import Paths, compact
from i2i_forge.data.source import Source
from i2i_forge.errors import DataError

log = logging.getLogger("i2i_forge")
OnBad = Literal["error", "skip"]


class Sizes(Mapping[Path, tuple[int, int]]):
    """(width, height) of each image that can be used.

    Attributes:
        paths: these images.
        sizes: int32 N,2: their widths and heights.
        good: bool M: which of all images that were checked they are.
        all_sizes: int32 M,2: as `sizes`, with 0 for those that cannot be used.
    """

    def __init__(self, checked: Paths, headers: Headers) -> None:
        self.good = headers.good
        self.paths = checked if self.good.all() else checked.take(np.flatnonzero(self.good))
        self.all_sizes = headers.sizes
        self.sizes = headers.sizes[self.good]

    @cached_property
    def _by_path(self) -> dict[Path, tuple[int, int]]:
        # built for who looks paths up, not for a million of them
        return {path: (width, height) for path, (width, height) in zip(self.paths, self.sizes.tolist(), strict=True)}

    def __getitem__(self, path: Path) -> tuple[int, int]:
        return self._by_path[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._by_path)

    def __len__(self) -> int:
        return len(self._by_path)


def check_images(paths: Sequence[Path], on_bad: OnBad | None = None) -> Sizes:
    """(width, height) of each image that can be used, from its header.

    Args:
        on_bad: "skip" notes files that cannot be used; otherwise they are an error. None: the user has no choice.

    Raises:
        DataError: one error for all files that cannot be used, with how many there are and the first five; or none can.
    """
    return check_lists([paths], on_bad)[0]


def check_lists(
    lists: Sequence[Sequence[Path]], on_bad: OnBad | None = None, *, are_pairs: bool = False
) -> list[Sizes]:
    """As check_images of several lists, with one error for all of them.

    Args:
        are_pairs: the error names the bad images pair by pair, not list by list.
    """
    checked = [compact(paths) for paths in lists]
    headers = [read_headers(paths) for paths in checked]
    bad = sum(int((~found.good).sum()) for found in headers)
    if bad:
        places = [(number, place) for number, found in enumerate(headers) for place in found.errors]
        places.sort(key=lambda where: where[::-1] if are_pairs else where)
        errors = [headers[number].errors[place] for number, place in places]
        first = "\n".join(error.message for error in errors[:SHOWN])
        message = f"{bad} of {sum(map(len, checked))} images cannot be used: {first}"
        if on_bad != "skip" or not any(found.good.any() for found in headers):
            fix = errors[0].fix if bad == 1 else "repair or remove these files"
            raise DataError(message, fix=f"{fix}; or go on without (on_bad: skip)" if on_bad == "error" else fix)
        log.warning("%s", message)
    return [Sizes(paths, found) for paths, found in zip(checked, headers, strict=True)]


def tolerant(source: Source, on_bad: OnBad) -> Source:
    """The source as it is, or with what turns out to be bad replaced."""
    return Replacing(source) if on_bad == "skip" else source


class Replacing:
    """A source whose examples that cannot be decoded are replaced, each by the next that can."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.source)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """As the source's; raises BadImage when no example at all can be decoded."""
        for place in self._places(index):
            try:
                return self.source.example(place, random)
            except BadImage as error:
                self._note(place, error)
                last = error
        raise last

    def name(self, index: int) -> str:
        """The file that is read instead of this one, if it is known by now that it is replaced."""
        return self.source.name(next((place for place in self._places(index) if place not in self._bad), index))

    def _places(self, index: int) -> Iterator[int]:
        return ((index + offset) % len(self) for offset in range(len(self)))

    def _note(self, place: int, error: BadImage) -> None:
        if place not in self._bad:
            self._bad.add(place)
            log.warning("the next image is taken instead (%d so far): %s", len(self._bad), error.message)
