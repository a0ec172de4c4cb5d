"""Patterns of file names.

`{name}` stands for anything but "/", and for the same wherever it is; `*` for anything but "/".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}|(\*)")


def names_below(root: Path) -> list[str]:
    """The names of all files and folders below a folder, in natural order; hidden ones are left out."""
    found: list[str] = []

    def failed(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}", fix="correct its permissions")

    for folder, folders, files in os.walk(root, onerror=failed, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_loop(Path(folder, name))]
        below = Path(folder).relative_to(root).as_posix()
        names = [name for name in (*folders, *files) if not name.startswith(".")]
        found += names if below == "." else [f"{below}/{name}" for name in names]
    return sorted(found, key=natural_key)


def _is_loop(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def placeholders(files: Mapping[str, Sequence[str]]) -> list[str]:
    """The placeholders, which all patterns have."""
    keys: list[str] | None = None
    for image, patterns in files.items():
        for pattern in patterns:
            own = list(dict.fromkeys(name for name, _ in PLACEHOLDER.findall(pattern) if name))
            keys = own if keys is None else keys
            if set(own) != set(keys):
                raise DataError(
                    f"data.files.{image}: {pattern} has the placeholders {own}, others have {keys}",
                    fix="name in every pattern what tells one case from another: {case}, or {subject} and others",
                )
    return keys or []


def matched(root: Path, listed: Sequence[str], pattern: str, keys: Sequence[str]) -> dict[tuple[str, ...], Path]:
    """Values of the placeholders -> the file of this pattern."""
    matches, found = name_expression(pattern), dict[tuple[str, ...], Path]()
    for name in listed:
        if match := matches.fullmatch(name):
            values = tuple(match[key] for key in keys)
            if values in found:
                raise DataError(
                    f"{pattern} is both {found[values]} and {root / name}", fix="make the pattern say which is meant"
                )
            found[values] = root / name
    return found


def name_expression(pattern: str) -> re.Pattern[str]:
    """What matches the whole of a name, with a group for each placeholder."""
    text, place, seen = "", 0, set[str]()
    for match in PLACEHOLDER.finditer(pattern):
        text += re.escape(pattern[place : match.start()])
        name = match[1]
        text += "[^/]*" if not name else f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)"
        seen |= {name} if name else set()
        place = match.end()
    return re.compile(text + re.escape(pattern[place:]))
