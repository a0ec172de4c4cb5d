"""Cases: what belongs together among files, found by the patterns of their names.

A case is what one match of the placeholders gives: for each image one file, or a stack of several. A group is what must
not be split: `{subject}` where a pattern has it, else the case.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i_forge.data.decode import OnBad
from i2i_forge.data.folders import SHOWN
from i2i_forge.data.patterns import matched, name_expression, names_below, placeholders
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

log = logging.getLogger("i2i_forge")


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
    listed = names_below(root)
    found: dict[tuple[str, ...], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    keys = placeholders(files)
    for image, patterns in files.items():
        for pattern in patterns:
            found_here = matched(root, listed, pattern, keys)
            if not found_here and not missing_ok:
                raise DataError(f"data.files.{image}: nothing below {root} is named {pattern}", fix=_example(listed))
            for values, path in found_here.items():
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
    names = Counter(case.name for case in whole)
    if twice := [case for case in whole if names[case.name] > 1]:
        one, two = (next(iter(case.files.values()))[0] for case in twice if case.name == twice[0].name)
        raise DataError(
            f"data.files: {one} and {two} are both case {twice[0].name}",
            fix="write another name for {case}: a case is then called by all that its placeholders stand for",
        )
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
        files = [folder / below for below in names_below(folder)]
        own = stems.setdefault(name, {})
        for file in files:
            if (end := ending(file)) and file.is_file():
                stem = file.relative_to(folder).as_posix()[: -len(end)]
                if stem in own:
                    raise DataError(f"{own[stem]} and {file} have one name", fix="remove one, or rename it")
                own[stem] = file
        if not own:
            raise DataError(f"{folder}: no file in it can be read as an image", fix="see `forge data check`")
    common = set.intersection(*map(set, stems.values()))
    if alone := [file for known in stems.values() for stem, file in known.items() if stem not in common]:
        raise DataError(
            f"{len(alone)} files have no partner: {', '.join(map(str, alone[:SHOWN]))}",
            fix="give the files of a pair the same name, or remove those without a partner",
        )
    named = name_expression(group) if group else None
    first = stems[next(iter(stems))]
    return [
        Case(stem, _group(named, stem, first[stem]), {name: (known[stem],) for name, known in stems.items()})
        for stem in first
    ]


def _group(named: re.Pattern[str] | None, stem: str, file: Path) -> str:
    if named is None:
        return stem
    if not (match := named.fullmatch(stem) or named.fullmatch(file.name)) or not match.groups():
        raise DataError(f"data.group: {file} does not match it", fix="write a pattern of all names: {subject}_*")
    return match.groupdict().get("subject") or match[1]


def _example(listed: Sequence[str]) -> str:
    shown = ", ".join(name for name in listed if "." in name.rpartition("/")[2])
    return f"correct the pattern; there is, for example: {shown[:200] or 'nothing'}"
