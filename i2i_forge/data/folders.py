"""Lists of image files, from folders and from list files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2i_forge.data.path_list import Names, Paths
from i2i_forge.data.walking import EXTENSIONS as EXTENSIONS
from i2i_forge.data.walking import names_below
from i2i_forge.errors import DataError
from i2i_forge.system.files import lines_of, read_bytes

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
    names = names_below(str(folder))
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
