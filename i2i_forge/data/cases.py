"""Cases: what belongs together among files, found by the patterns of their names; and their splits, by groups.

A case is what one match of the placeholders gives: for each image one file, or a stack of several. A group is what must
not be split: `{subject}` where a pattern has it, else the case.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from i2i_forge.data.decode import OnBad
from i2i_forge.data.folders import SHOWN
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key, read_text

log = logging.getLogger("i2i_forge")
PLACEHOLDER = re.compile(r"\{(\w+)\}|(\*)")
SPLITS = {"train": ("train",), "test": ("test", "val")}


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


def find_cases(root: Path, files: Mapping[str, Sequence[str]], on_bad: OnBad = "error") -> list[Case]:
    """The cases below a folder, in natural order.

    Args:
        files: image -> the patterns of its stack, relative to `root`: `{name}` stands for anything but "/", and for the
            same wherever it is; `*` for anything but "/".
        on_bad: "skip" leaves out a case that misses a file, "error" names the first five.

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
            if not matched:
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


def split_cases(cases: Sequence[Case], split: Mapping[str, Any], root: Path) -> dict[str, list[Case]]:
    """The cases of "train" and of "test".

    Args:
        split: {} for all in both; {test: 0.15}: the last share of the groups, in natural order; {list: FILE}: a table
            with the columns case and split, or case and fold (with `fold: K`, which is tested), or nnU-Net's list of
            {train: [...], val: [...]}.

    Raises:
        DataError: the split does not make sense, names a case that is not there, or divides a group.
    """
    match dict(split):
        case {"test": float() | int() as share, **rest} if not rest and 0 < share < 1:
            groups = sorted({case.group for case in cases}, key=natural_key)
            if len(groups) < 2:
                raise DataError(f"data.split: {len(groups)} group cannot be split", fix="leave `split` out")
            last = set(groups[-max(1, round(share * len(groups))) :])
            parts = {c.name: "test" if c.group in last else "train" for c in cases}
        case {"list": str() as name, **rest} if not rest.keys() - {"fold"}:
            cases, parts = _listed(cases, Path(root, name), rest.get("fold"))
        case {}:
            return {"train": list(cases), "test": list(cases)}
        case _:
            raise DataError(
                f"data.split: {dict(split)} is no split",
                fix="write {test: 0.15}, {train: FOLDER, test: FOLDER}, {list: FILE} or {list: FILE, fold: 0}",
            )
    found = {name: [case for case in cases if parts.get(case.name) == name] for name in SPLITS}
    refuse_divided_groups(found)
    for name, some in found.items():
        if not some:
            raise DataError(f"data.split: no case is left for {name}", fix="correct the split")
    return found


def refuse_divided_groups(splits: Mapping[str, Iterable[Case]]) -> None:
    """Raises DataError for a group with cases in both splits."""
    seen: dict[str, tuple[str, Case]] = {}
    for name, cases in splits.items():
        for case in cases:
            other, first = seen.setdefault(case.group, (name, case))
            if other != name:
                one, two = (next(iter(c.files.values()))[0] for c in (first, case))
                raise DataError(
                    f"group {case.group} is in {other} and in {name}: {one} and {two}",
                    fix="keep what belongs to one subject in one split; `{subject}` in data.files says what does",
                )


def _listed(cases: Sequence[Case], file: Path, fold: Any) -> tuple[list[Case], dict[str, str]]:
    """The cases as a list names them, and the split of each by its name."""
    parts: dict[str, str] = {}
    known = {case.name: case for case in cases}
    for row in _rows(file, fold):
        name = str(row.get("case", ""))
        if name not in known:
            raise DataError(f"{file}: there is no case '{name}'", fix="correct the list, or data.files")
        if group := row.get("group") or row.get("subject"):
            known[name] = replace(known[name], group=group)
        if fold is not None and "fold" in row:
            part = "test" if str(row["fold"]) == str(fold) else "train"
        else:
            part = {"val": "test"}.get(row.get("split", ""), row.get("split", ""))
        if part not in SPLITS:
            raise DataError(
                f"{file}: case {name} has no split",
                fix="give a column `split` (train, test), or `fold` and data.split.fold",
            )
        if parts.setdefault(name, part) != part:
            raise DataError(f"{file}: case {name} is in {parts[name]} and in {part}", fix="list it once")
    return list(known.values()), parts


def _rows(file: Path, fold: Any) -> Iterator[dict[str, str]]:
    text = read_text(file)
    if file.suffix != ".json":
        yield from csv.DictReader(io.StringIO(text))
        return
    try:
        for split, names in json.loads(text)[fold or 0].items():
            yield from ({"case": name, "split": split} for name in names)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"{file}: there is no fold {fold or 0} in it", fix="write a list of {train: [...], val: [...]}, one a fold"
        ) from error


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
    matches, found = _expression(pattern), dict[tuple[str, ...], Path]()
    for name in listed:
        if match := matches.fullmatch(name):
            values = tuple(match[key] for key in keys)
            if values in found:
                raise DataError(
                    f"{pattern} is both {found[values]} and {root / name}", fix="make the pattern say which is meant"
                )
            found[values] = root / name
    return found


def _expression(pattern: str) -> re.Pattern[str]:
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
