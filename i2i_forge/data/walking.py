"""Which image files a folder holds, in natural order. A million of them take seconds."""
# A Path object for each file would cost more than all the rest.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

EXTENSIONS = ("bmp", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")


@dataclass
class _Folder:
    """A folder while it is walked.

    Attributes:
        name: relative to the root; "" for the root.
        real: its path without links.
        entries: names in plain order.
        special: the names of sub-folders and links -> whether it is a link; the others are image files.
        files, folders: what was found so far, by name.
    """

    name: str
    real: str
    entries: Iterator[str]
    special: dict[str, bool]
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def names_below(root: str) -> list[str]:
    """The names of the image files in a folder and its sub-folders, relative to it, in natural order.

    Hidden entries and what is not a regular file are left out. Links are followed, and each real file is named once.

    Raises:
        DataError: a folder cannot be read.
    """
    found = _walk(root)
    names: list[str] = []
    waiting = [("", True)]
    while waiting:  # without recursion, here as below: folders may be nested deeper than Python's stack
        name, is_folder = waiting.pop()
        if not is_folder:
            names.append(name)
            continue
        folder = found.pop(name)
        prefix, folders = name and f"{name}/", set(folder.folders)
        in_order = in_natural_order([*folder.files, *folders])
        if folders:
            waiting += [(prefix + each, each in folders) for each in reversed(in_order)]
        else:
            names += [prefix + each for each in in_order]
    return names


def _walk(root: str) -> dict[str, _Folder]:
    """Every folder by name. Of several ways to one file or folder the first in the plain order of names is taken."""
    path, real = (root or "."), os.path.realpath(root)
    found = {"": _listed(path, "", real)}
    walked = {real}  # real paths of folders, so that loops of links end
    known: set[str] | None = None  # those of files, kept from the first link on: without links none is met twice
    waiting = [found[""]]
    while waiting:
        folder = waiting[-1]
        for name in folder.entries:
            is_link = folder.special.get(name)
            if is_link is None and known is None:
                folder.files.append(name)
                continue
            below, real = (f"{folder.name}/{name}" if folder.name else name), f"{folder.real}{os.sep}{name}"
            if is_link:
                real = os.path.realpath(os.path.join(path, below))
                known = _real_files(found) if known is None else known
            mode = _mode(real) if is_link else stat.S_IFREG if is_link is None else stat.S_IFDIR
            if stat.S_ISDIR(mode) and real not in walked:
                walked.add(real)
                folder.folders.append(name)
                found[below] = _listed(os.path.join(path, below), below, real)
                waiting.append(found[below])
                break
            if stat.S_ISREG(mode) and known is not None and real not in known and _is_image(name):
                known.add(real)
                folder.files.append(name)
        else:
            waiting.pop()
    return found


def _real_files(found: dict[str, _Folder]) -> set[str]:
    return {f"{folder.real}{os.sep}{name}" for folder in found.values() for name in folder.files}


def _listed(path: str, name: str, real: str) -> _Folder:
    names, special = [], {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                # the kind comes with the name; only for links a file has to be asked
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                    special[entry.name] = entry.is_symlink()
                elif not (_is_image(entry.name) and entry.is_file(follow_symlinks=False)):
                    continue
                names.append(entry.name)
    except OSError as error:
        raise DataError(f"{Path(path)}: cannot be listed: {error.strerror}", fix="make the folder readable") from error
    return _Folder(name, real, iter(sorted(names)), special)


def _is_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in EXTENSIONS and "." in name


def _mode(path: str) -> int:
    """What kind of file it is; 0 where there is none, or a link to itself."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names of one folder's entries with 2 before 10; what differs only in leading zeros in plain order."""
    return sorted(sorted(names), key=natural_key)
