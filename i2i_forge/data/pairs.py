"""Which images are pairs, and whether they fit each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from i2i_forge.data.bad_images import OnBad, Sizes, check_images, check_lists
from i2i_forge.data.folders import SHOWN, shown
from i2i_forge.data.path_list import Pairs, Paths, compact, compact_pairs
from i2i_forge.errors import DataError


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
