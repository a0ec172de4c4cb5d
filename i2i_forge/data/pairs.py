"""Which images are pairs, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2i_forge.data.folders import check_images, shown
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


def check_pairs(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Check the header of every image, and that the two of a pair have the same size.

    Raises:
        DataError: files that cannot be used, or pairs of two sizes; the first five are named.
    """
    sizes = check_images([path for pair in pairs for path in pair])
    unequal = [
        f"{a} is {'x'.join(map(str, size_a))}, {b} is {'x'.join(map(str, size_b))}"
        for (a, b), size_a, size_b in zip(pairs, sizes[::2], sizes[1::2], strict=True)
        if size_a != size_b
    ]
    if unequal:
        raise DataError(
            f"{len(unequal)} of {len(pairs)} pairs differ in size: {shown(unequal)}",
            fix="make both images of a pair the same size",
        )


def check_halves(paths: Sequence[Path]) -> None:
    """Check the header of every side-by-side image, and that its width is even.

    Raises:
        DataError: files that cannot be used, or that do not have two halves; the first five are named.
    """
    sizes = check_images(paths)
    odd = [f"{path} is {width}x{height}" for path, (width, height) in zip(paths, sizes, strict=True) if width % 2]
    if odd:
        raise DataError(
            f"{len(odd)} of {len(paths)} side-by-side images have an odd width: {shown(odd)}",
            fix="put two images of the same width side by side",
        )
