"""Which images are pairs, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2i_forge.data.bad_images import OnBad, check_images
from i2i_forge.data.folders import shown
from i2i_forge.errors import DataError


def match_stems(a: Sequence[Path], b: Sequence[Path], folder_a: Path, folder_b: Path) -> list[tuple[Path, Path]]:
    """Pairs of files with the same path below their folders, extension aside, in the order of `a`.

    Raises:
        DataError: a file has no partner (the first five are named), or more than one.
    """
    stems_a, stems_b = _by_stem(a, folder_a), _by_stem(b, folder_b)
    alone = [stems_a[stem] for stem in stems_a if stem not in stems_b]
    alone += [stems_b[stem] for stem in stems_b if stem not in stems_a]
    if alone:
        raise DataError(
            f"{folder_a} ({len(a)} images) and {folder_b} ({len(b)}) do not pair; "
            f"{len(alone)} without a partner: {shown(alone)}",
            fix="give both images of a pair the same name, or remove those without a partner",
        )
    return [(path, stems_b[stem]) for stem, path in stems_a.items()]


def _by_stem(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    stems: dict[Path, Path] = {}
    for path in paths:
        other = stems.setdefault(path.relative_to(folder).with_suffix(""), path)
        if other is not path:
            raise DataError(f"{other} and {path} differ only in extension: no telling which is meant", fix="remove one")
    return stems


def check_pairs(pairs: Sequence[tuple[Path, Path]], on_bad: OnBad | None = None) -> list[tuple[Path, Path]]:
    """The pairs that can be used: both headers are good. The two images must have the same size.

    Raises:
        DataError: files that cannot be used and are not to be skipped, or pairs of two sizes; the first five are named.
    """
    sizes = check_images([path for pair in pairs for path in pair], on_bad)
    usable = [(a, b) for a, b in pairs if a in sizes and b in sizes]
    unequal = [
        f"{a} is {'x'.join(map(str, sizes[a]))}, {b} is {'x'.join(map(str, sizes[b]))}"
        for a, b in usable
        if sizes[a] != sizes[b]
    ]
    if unequal:
        raise DataError(
            f"{len(unequal)} of {len(pairs)} pairs differ in size: {shown(unequal)}",
            fix="make both images of a pair the same size",
        )
    return usable


def check_halves(paths: Sequence[Path], on_bad: OnBad | None = None) -> list[Path]:
    """The side-by-side images that can be used: the header is good. Their width must be even.

    Raises:
        DataError: files that cannot be used and are not to be skipped, or that do not have two halves; the first five
            are named.
    """
    sizes = check_images(paths, on_bad)
    odd = [f"{path} is {width}x{height}" for path, (width, height) in sizes.items() if width % 2]
    if odd:
        raise DataError(
            f"{len(odd)} of {len(paths)} side-by-side images have an odd width: {shown(odd)}",
            fix="put two images of the same width side by side",
        )
    return list(sizes)
