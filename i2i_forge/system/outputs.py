"""The rule of all commands about what is there already: a file is replaced only by the command that wrote such a file.

A command that reads images never replaces one of them. A folder that a command makes must be new, or empty.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from i2i_forge.errors import UsageError
from i2i_forge.system.files import one_line, open_to_read

HEAD = 4096  # bytes at the beginning of a file, among which its mark is


def marked(mark: str) -> Callable[[Path], bool]:
    """Whether a file begins as those do that a command writes."""
    return lambda file: mark.encode() in (_head(file) or b"")


def refuse_to_replace(files: Iterable[Path], is_own: Callable[[Path], bool], inputs: Iterable[Path] = ()) -> None:
    """Call it before the first file is written.

    Args:
        files: what is going to be written.
        is_own: whether a file is one that the command wrote before; empty files are anybody's.
        inputs: what is going to be read.

    Raises:
        UsageError: one of the files is there and is not the command's own, or is an input.
    """
    read = {os.path.realpath(file) for file in inputs}
    for file in files:
        if os.path.realpath(file) in read:
            raise UsageError(f"{file} is one of the inputs, and would be replaced", fix="name another folder")
        head = _head(file)
        is_there = os.path.lexists(file) and not file.is_dir()  # a folder cannot be replaced by a file
        if is_there and (head is None or (head and not is_own(file))):
            raise UsageError(
                f"{file}: there is something already, which this command did not write",
                fix="name another place, or remove it first",
            )


def refuse_to_fill(folder: Path, option: str = "--out") -> None:
    """Raises UsageError unless the folder that a command makes is not there or empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{option} {folder}: there is something already", fix="name a new folder")


def refuse_special(paths: Iterable[Path]) -> None:
    """Raise UsageError for a link, a pipe or a device where a run is to write: it may be a stranger's."""
    for path in paths:
        if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
            what = "a link" if path.is_symlink() else "no regular file"
            raise UsageError(
                f"{one_line(str(path))} is {what}: nothing is written there, because it may lead anywhere",
                fix="remove it, or put in its place what it stands for; the run's folder itself may be a link",
            )


def _head(file: Path) -> bytes | None:
    """The first bytes of a regular file; None of anything else, and of what cannot be read."""
    with suppress(OSError), open_to_read(file) as opened:
        return opened.read(HEAD)
    return None
