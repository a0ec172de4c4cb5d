"""Which image files a folder or a list file names, in natural order. A million of them take seconds."""
# A Path object for each file would cost more than all the rest.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from i2i_forge.data.path_list import Names, Paths
from i2i_forge.errors import DataError
from i2i_forge.system.files import lines_of, natural_key, read_bytes

EXTENSIONS = ("bmp", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")
PATTERN = f"*.{{{','.join(EXTENSIONS)}}}, any case, sub-folders included"
LONGEST_LIST = 10**9  # bytes
SHOWN = 5  # how many names an error shows
A_NAMES, B_NAMES, SIDE_NAMES = (
    ("trainA", "testA", "valA"),
    ("trainB", "testB", "valB"),
    ("train", "test", "val"),
)  # as `split_folder` has


def list_images(folder: str | Path) -> Paths:
    """The image files in a folder and its sub-folders, in natural order (2 before 10).

    Hidden entries and what is not a regular file are left out. Links are followed, and each real file is listed once.

    Raises:
        DataError: the folder is missing or cannot be read, or there is no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the image folder {folder} {problem}", fix=f"correct the path; {_siblings(folder)}")
    names = _names_below(str(folder))
    if not names:
        raise DataError(
            f"no image in {folder} (looked for {PATTERN}; hidden files are skipped)",
            fix="put images there, or name another folder",
        )
    return Paths(Names(names), prefix=str(folder / "x")[:-1], origin=folder)


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


def is_side_by_side(root: str | Path, a: str, b: str) -> bool:
    """Whether images lie side by side: what layout "auto" means, when the user named `a` and `b`, "" for none."""
    return not (a or b or Path(root, A_NAMES[0]).exists()) and Path(root, SIDE_NAMES[0]).is_dir()


def read_list(file: str | Path, folder: str | Path) -> Paths:
    """The paths in a list file: one a line, relative to `folder`; blank lines are ignored.

    Raises:
        DataError: the list is missing, cannot be read, or names nothing.
    """
    try:
        lines = lines_of(read_bytes(Path(file), LONGEST_LIST).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        reason = getattr(error, "strerror", None) or reason
        raise DataError(f"image list {file}: cannot be read: {reason}", fix="correct its path or its text") from error
    entries = [Path(line.strip()) for line in lines if line.strip()]
    if not entries:
        raise DataError(f"image list {file}: is empty", fix="write one path a line into it")
    if any(entry.is_absolute() for entry in entries):
        return Paths(Names(str(Path(folder, entry)) for entry in entries), origin=Path(file))
    return Paths(Names(map(str, entries)), prefix=str(Path(folder) / "x")[:-1], origin=Path(file))


def shown(items: Sequence[object]) -> str:
    """The first few, separated by commas."""
    return ", ".join(str(item) for item in items[:SHOWN]) + (", ..." if len(items) > SHOWN else "")


def _names_below(root: str) -> list[str]:
    """The names of the image files in a folder and its sub-folders, relative to it, in natural order.

    Of several ways to one file or folder the first in the plain order of names is taken.

    Raises:
        DataError: a folder cannot be read.
    """
    found: list[tuple[str, str, str]] = []  # of each file what to sort by, its real folder, its name
    walked = {real := os.path.realpath(root)}  # folders, so that loops of links end
    known: set[str] | None = None  # files, kept from the first link on: without links none is met twice
    waiting = [("", "", real, _entries(root or "."))]
    while waiting:  # without recursion: folders may be nested deeper than Python's stack
        order, prefix, real, entries = waiting[-1]
        for name, is_link in entries:
            key, below = f"{order}{natural_key(name)}\0", prefix + name
            if is_link is None and known is None:
                found.append((key, real, below))
                continue
            place = f"{real}{os.sep}{name}"
            if is_link:
                place = os.path.realpath(os.path.join(root, below))
                known = known or {f"{folder}{os.sep}{each.rpartition('/')[2]}" for _, folder, each in found}
            mode = _mode(place) if is_link else stat.S_IFREG if is_link is None else stat.S_IFDIR
            if stat.S_ISDIR(mode) and place not in walked:
                walked.add(place)
                waiting.append((key, f"{below}/", place, _entries(os.path.join(root, below))))
                break
            if stat.S_ISREG(mode) and known is not None and place not in known and _is_image(name):
                known.add(place)
                found.append((key, real, below))
        else:
            waiting.pop()
    return [name for *_, name in sorted(found)]


def _entries(folder: str) -> Iterator[tuple[str, bool | None]]:
    """The names of image files, of folders (False) and of links (True), in plain order."""
    found: dict[str, bool | None] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # the kind comes with the name; only for links a file has to be asked
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                    found[entry.name] = entry.is_symlink()
                elif _is_image(entry.name) and entry.is_file(follow_symlinks=False):
                    found[entry.name] = None
    except OSError as error:
        raise DataError(
            f"{Path(folder)}: cannot be listed: {error.strerror}", fix="make the folder readable"
        ) from error
    return iter(sorted(found.items(), key=itemgetter(0)))


def _is_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in EXTENSIONS and "." in name


def _mode(path: str) -> int:
    """What kind of file it is; 0 where there is none, or a link to itself."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
