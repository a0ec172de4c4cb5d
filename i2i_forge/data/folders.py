"""Lists of image files, from folders and from list files, and their check before training starts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from i2i_forge.data.decode import check_header
from i2i_forge.errors import DataError

EXTENSIONS = ("bmp", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")
PATTERN = f"*.{{{','.join(EXTENSIONS)}}}, any case, sub-folders included"
SHOWN = 5  # how many names an error shows


def list_images(folder: str | Path) -> list[Path]:
    """The image files in a folder and its sub-folders, in natural order (2 before 10).

    Hidden entries and what is not a regular file are left out. Links are followed, and each real file is listed once.

    Raises:
        DataError: the folder is missing or cannot be read, or there is no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the image folder {folder} {problem}", fix=f"correct the path; {_siblings(folder)}")
    paths: list[Path] = []
    _walk(folder, paths, seen=set())
    if not paths:
        raise DataError(
            f"no image in {folder} (looked for {PATTERN}; hidden files are skipped)",
            fix="put images there, or name another folder",
        )
    return sorted(paths, key=lambda path: natural(path.relative_to(folder)))


def _walk(folder: Path, paths: list[Path], seen: set[str]) -> None:
    """Append the images under `folder`. `seen` holds real paths, so loops of links end."""
    real_folder = os.path.realpath(folder)
    if real_folder in seen:
        return
    seen.add(real_folder)
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}", fix="make the folder readable") from error
    for entry in entries:
        path = folder / entry.name
        if _safely(entry.is_dir):
            _walk(path, paths, seen)
        elif path.suffix.lower()[1:] in EXTENSIONS and _safely(entry.is_file):
            real = os.path.realpath(path) if entry.is_symlink() else f"{real_folder}{os.sep}{entry.name}"
            if real not in seen:
                seen.add(real)
                paths.append(path)


def _safely(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself
        return False


def natural(path: Path) -> list[tuple[list[str | int], str]]:
    """A sort key that compares runs of digits as numbers."""
    # split at a captured pattern: text at even places, digits at odd ones; the part itself orders "1" and "01"
    return [
        ([int(run) if i % 2 else run for i, run in enumerate(re.split("([0-9]+)", part))], part) for part in path.parts
    ]


def _siblings(folder: Path) -> str:
    parent = folder.parent
    names = sorted(entry.name for entry in parent.iterdir() if entry.is_dir()) if parent.is_dir() else []
    return f"in {parent} there is: {', '.join(names[:20])}" if names else f"there is no folder in {parent}"


def split_folder(root: str, split: str, train: str, test: str, names: tuple[str, ...]) -> Path:
    """The folder of a split, relative to `root`.

    Args:
        train, test: the folders the user named, "" where none.
        names: the usual names, that of the training folder first. A test folder that is neither named nor found under
            a usual name is the training folder.
    """
    if split == "test":
        if test:
            return Path(root, test)
        found = [Path(root, name) for name in names[1:] if root and Path(root, name).is_dir()]
        if found:
            return found[0]
    return Path(root, train or names[0])


def read_list(file: str | Path, folder: str | Path) -> list[Path]:
    """The paths in a list file: one a line, relative to `folder`; blank lines are ignored.

    Raises:
        DataError: the list is missing, cannot be read, or names nothing.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"image list {file}: cannot be read: {reason}", fix="correct its path or its text") from error
    paths = [Path(folder, line.strip()) for line in lines if line.strip()]
    if not paths:
        raise DataError(f"image list {file}: is empty", fix="write one path a line into it")
    return paths


def shown(items: Sequence[object]) -> str:
    """The first few, separated by commas."""
    return ", ".join(str(item) for item in items[:SHOWN]) + (", ..." if len(items) > SHOWN else "")


def check_images(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """(width, height) of each image, from its header.

    Raises:
        DataError: one error for all files that cannot be used, with how many there are and the first five.
    """
    sizes: list[tuple[int, int]] = []
    errors: list[DataError] = []
    for path in paths:
        try:
            sizes.append(check_header(path))
        except DataError as error:
            errors.append(error)
    if not errors:
        return sizes
    first = "\n".join(error.message for error in errors[:SHOWN])
    fix = errors[0].fix if len(errors) == 1 else "repair or remove these files"
    raise DataError(f"{len(errors)} of {len(paths)} images cannot be used: {first}", fix=fix)
