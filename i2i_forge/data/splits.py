"""Splits of cases into those that train and those that test, by groups: what belongs together is never divided."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from i2i_forge.data.cases import Case
from i2i_forge.data.file_checks import check_file
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key, read_text

SPLITS = ("train", "test")


def split_cases(cases: Sequence[Case], split: Mapping[str, Any], root: Path) -> dict[str, list[Case]]:
    """The cases of "train" and of "test".

    Args:
        split: {} for all in both; {test: 0.15}: the last share of the groups, in natural order; {list: FILE}: a table
            with the columns case and split, or case and fold (with `fold: K`, which is tested), or nnU-Net's list of
            {train: [...], val: [...]}.

    Raises:
        DataError: the split does not make sense, names a case that is not there, or divides a group.
    """
    if not split:
        return {"train": list(cases), "test": list(cases)}
    match dict(split):
        case {"test": float() as share, **rest} if not rest and 0 < share < 1:
            groups = sorted({case.group for case in cases}, key=natural_key)
            if len(groups) < 2:
                raise DataError(f"data.split: {len(groups)} group cannot be split", fix="leave `split` out")
            last = set(groups[-max(1, round(share * len(groups))) :])
            parts = {c.name: "test" if c.group in last else "train" for c in cases}
        case {"list": str() as name, **rest} if not rest:
            cases, parts = _listed(cases, root / name, None)
        case {"list": str() as name, "fold": int() as fold, **rest} if not rest and fold >= 0:
            cases, parts = _listed(cases, root / name, fold)
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


def _listed(cases: Sequence[Case], file: Path, fold: int | None) -> tuple[list[Case], dict[str, str]]:
    """The cases as a list names them, and the split of each by its name."""
    parts: dict[str, str] = {}
    known = {case.name: case for case in cases}
    for name, said, group in _rows(file, fold):
        part = {"val": "test"}.get(said, said)
        if name not in known:
            raise DataError(f"{file}: there is no case '{name}'", fix="correct the list, or data.files")
        if part not in SPLITS:
            raise DataError(f"{file}: case {name} is in '{said}', which is no split", fix="write train, val or test")
        if parts.setdefault(name, part) != part:
            raise DataError(f"{file}: case {name} is in {parts[name]} and in {part}", fix="list it once")
        known[name] = replace(known[name], group=group or known[name].group)
    return list(known.values()), parts


def _rows(file: Path, fold: int | None) -> Iterator[tuple[str, str, str]]:
    """Of each row the case, its split, and its group where there is one."""
    check_file(file)
    text = read_text(file).removeprefix("\ufeff")
    if file.suffix == ".json":
        try:
            for split, names in json.loads(text)[fold or 0].items():
                yield from ((str(name), split, "") for name in names)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise DataError(
                f"{file}: there is no fold {fold or 0} in it",
                fix="write a list of {train: [...], val: [...]}, one a fold",
            ) from error
        return
    table = csv.DictReader(io.StringIO(text))
    needed = "split" if fold is None else "fold"
    if lacking := {"case", needed} - {*(table.fieldnames or ())}:
        raise DataError(f"{file}: it has no column {' and no column '.join(sorted(lacking))}",
                        fix="write a table with the columns case and split, or case and fold")  # fmt: skip
    for row in table:
        part = row[needed] or ""
        split = part if fold is None else "test" if part == str(fold) else "train"
        yield row["case"] or "", split, row.get("group") or row.get("subject") or ""
