"""Which images can be used, and which are pairs that fit each other: by headers, which are read before training."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from i2i_forge.data.decode import OnBad
from i2i_forge.data.folders import SHOWN, shown
from i2i_forge.data.headers import Headers, read_headers
from i2i_forge.data.path_list import Pairs, Paths, compact, compact_pairs
from i2i_forge.errors import DataError

log = logging.getLogger("i2i_forge")


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


def match_stems(a: Sequence[Path], b: Sequence[Path], folder_a: Path, folder_b: Path) -> Pairs:
    """Pairs of files with the same path below their folders, extension aside, in the order of `a`.

    Raises:
        DataError: a file has no partner (the first five are named), or more than one.
    """
    files_a, files_b = compact(a), compact(b)
    stems_a, stems_b = _by_stem(files_a, folder_a), _by_stem(files_b, folder_b)
    alone = [files_a[place] for stem, place in stems_a.items() if stem not in stems_b]
    alone += [files_b[place] for stem, place in stems_b.items() if stem not in stems_a]
    if alone:
        raise DataError(
            f"{folder_a} ({len(a)} images) and {folder_b} ({len(b)}) do not pair; "
            f"{len(alone)} without a partner: {shown(alone)}",
            fix="give both images of a pair the same name, or remove those without a partner",
        )
    return Pairs(files_a, files_b.take(np.array([stems_b[stem] for stem in stems_a], np.int64)))


def _by_stem(paths: Paths, folder: Path) -> dict[str, int]:
    """Path below the folder without extension -> place."""
    stems: dict[str, int] = {}
    skipped = len(str(folder / "x")) - 1
    for place, path in enumerate(paths.texts()):
        other = stems.setdefault(os.path.splitext(path[skipped:])[0], place)  # noqa: PTH122 - for a million
        if other != place:
            raise DataError(
                f"{paths[other]} and {paths[place]} differ only in extension: no telling which is meant",
                fix="remove one",
            )
    return stems


def check_pairs(pairs: Sequence[tuple[Path, Path]], on_bad: OnBad | None = None) -> Pairs:
    """The pairs that can be used: both headers are good. The two images must have the same size.

    Raises:
        DataError: files that cannot be used and are not to be skipped, or pairs of two sizes; the first five are named.
    """
    pairs = compact_pairs(pairs)
    a, b = check_lists([pairs.a, pairs.b], on_bad, are_pairs=True)
    usable = a.good & b.good
    unequal = usable & (a.all_sizes != b.all_sizes).any(1)
    if count := int(unequal.sum()):
        places = np.flatnonzero(unequal)[: SHOWN + 1]
        raise DataError(
            f"{count} of {len(pairs)} pairs differ in size: {shown([_sizes(pairs, a, b, place) for place in places])}",
            fix="make both images of a pair the same size",
        )
    return pairs if usable.all() else pairs.take(np.flatnonzero(usable))


def _sizes(pairs: Pairs, a: Sizes, b: Sizes, place: int) -> str:
    pair = zip(pairs[place], (a, b), strict=True)
    return ", ".join(f"{path} is {'x'.join(map(str, sizes.all_sizes[place]))}" for path, sizes in pair)


def check_halves(paths: Sequence[Path], on_bad: OnBad | None = None) -> Paths:
    """The side-by-side images that can be used: the header is good. Their width must be even.

    Raises:
        DataError: files that cannot be used and are not to be skipped, or that do not have two halves; the first five
            are named.
    """
    checked = check_images(paths, on_bad)
    odd = np.flatnonzero(checked.sizes[:, 0] % 2)
    if len(odd):
        named = [f"{checked.paths[place]} is {'x'.join(map(str, checked.sizes[place]))}" for place in odd[: SHOWN + 1]]
        raise DataError(
            f"{len(odd)} of {len(paths)} side-by-side images have an odd width: {shown(named)}",
            fix="put two images of the same width side by side",
        )
    return checked.paths
