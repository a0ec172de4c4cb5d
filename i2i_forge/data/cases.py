"""Cases: what belongs together among files, found by the patterns of their names.

A case is what one match of the placeholders gives: for each image one file, or a stack of several. A group is what must
not be split: `{subject}` where a pattern has it, else the case.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.data.decode import OnBad
from i2i_forge.data.folders import SHOWN
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

log = logging.getLogger("i2i_forge")
PLACEHOLDER = re.compile(r"\{(\w+)\}|(\*)")


@dataclass(frozen=True)
class Case:
    """Files that belong together.

    Attributes:
        name: what its placeholders stand for, "1BA001".
        group: what must not be split.
        files: of each image; more than one are stacked as channels.
    """

    name: str
    group: str
    files: Mapping[str, tuple[Path, ...]]
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


def find_cases(
    root: Path, files: Mapping[str, Sequence[str]], on_bad: OnBad = "error", *, missing_ok: bool = False
) -> list[Case]:
    """The cases below a folder, in natural order.

    Args:
        files: image -> the patterns of its stack, relative to `root`: `{name}` stands for anything but "/", and for the
            same wherever it is; `*` for anything but "/".
        on_bad: "skip" leaves out a case that misses a file, "error" names the first five.
        missing_ok: whether a pattern that matches nothing is no mistake.

    Raises:
        DataError: the folder is not there, a pattern matches nothing or two files for one case, or files are missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder", fix="correct data.root")
    listed = _below(root)
    found: dict[tuple[str, ...], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    keys = _keys(files)
    for image, patterns in files.items():
        for pattern in patterns:
            matched = _matched(root, listed, pattern, keys)
            if not matched and not missing_ok:
                raise DataError(f"data.files.{image}: nothing below {root} is named {pattern}", fix=_example(listed))
            for values, path in matched.items():
                found[values][image].append(path)
    whole, missing = [], []
    for values, stacks in found.items():
        lacking = [image for image, patterns in files.items() if len(stacks[image]) != len(patterns)]
        named = dict(zip(keys, values, strict=True))
        case = named.get("case") or "_".join(values) or root.name
        if lacking:
            missing.append(f"{case} has no {' and no '.join(lacking)}")
        else:
            paths = {image: tuple(stack) for image, stack in stacks.items()}
            whole.append(Case(case, named.get("subject") or case, paths, named))
    if missing:
        said = f"{len(missing)} of {len(found)} cases miss files: {'; '.join(missing[:SHOWN])}"
        if on_bad != "skip" or not whole:
            raise DataError(said, fix="add or remove these files; or go on without these cases (on_bad: skip)")
        log.warning("%s", said)
    return sorted(whole, key=lambda case: natural_key(case.name))


def folder_cases(folders: Mapping[str, Path], ending: Callable[[Path], str], group: str = "") -> list[Case]:
    """The files of folders, in natural order: those of the same name below each, but for their endings, are a case.

    Args:
        folders: of each image; one alone gives a case for each file.
        ending: of a file's name, "" for files that are no images.
        group: a pattern of names whose `{subject}` is the group, "" for a group of each.

    Raises:
        DataError: a folder is not there or holds no images, or a file has no partner.
    """
    stems: dict[str, dict[str, Path]] = {}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder", fix="correct data.root")
        files = [folder / below for below in _below(folder)]
        ends = {file: ending(file) for file in files if file.is_file()}
        stems[name] = {str(file.relative_to(folder))[: -len(end)]: file for file, end in ends.items() if end}
        if not stems[name]:
            raise DataError(f"{folder}: no file in it can be read as an image", fix="see `forge data check`")
    common = set.intersection(*map(set, stems.values()))
    if alone := [file for known in stems.values() for stem, file in known.items() if stem not in common]:
        raise DataError(
            f"{len(alone)} files have no partner: {', '.join(map(str, alone[:SHOWN]))}",
            fix="give the files of a pair the same name, or remove those without a partner",
        )
    expression = name_expression(group) if group else None
    first = stems[next(iter(stems))]
    return [
        Case(stem, _group(expression, stem, first[stem]), {name: (known[stem],) for name, known in stems.items()})
        for stem in first
    ]


def _group(expression: re.Pattern[str] | None, stem: str, file: Path) -> str:
    if expression is None:
        return stem
    if not (match := expression.fullmatch(stem) or expression.fullmatch(file.name)) or not match.groups():
        raise DataError(f"data.group: {file} does not match it", fix="write a pattern of all names: {subject}_*")
    return match[1]


def _below(root: Path) -> list[str]:
    """The names of all files and folders below a folder, in natural order; hidden ones are left out."""
    found: list[str] = []
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root).as_posix()
        names = [name for name in (*folders, *files) if not name.startswith(".")]
        found += names if below == "." else [f"{below}/{name}" for name in names]
    return sorted(found, key=natural_key)


def _keys(files: Mapping[str, Sequence[str]]) -> list[str]:
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


def _matched(root: Path, listed: Sequence[str], pattern: str, keys: Sequence[str]) -> dict[tuple[str, ...], Path]:
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
    """What names of a pattern match: `{name}` is a group of that name."""
    text, place, seen = "", 0, set[str]()
    for match in PLACEHOLDER.finditer(pattern):
        text += re.escape(pattern[place : match.start()])
        name = match[1]
        text += "[^/]*" if not name else f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)"
        seen |= {name} if name else set()
        place = match.end()
    return re.compile(text + re.escape(pattern[place:]))


def _example(listed: Sequence[str]) -> str:
    shown = ", ".join(name for name in listed if "." in name.rpartition("/")[2])
    return f"correct the pattern; there is, for example: {shown[:200] or 'nothing'}"
