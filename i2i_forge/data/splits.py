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
    match dict(split):
        case {"test": float() | int() as share, **rest} if not rest and 0 < share < 1:
            groups = sorted({case.group for case in cases}, key=natural_key)
            if len(groups) < 2:
                raise DataError(f"data.split: {len(groups)} group cannot be split", fix="leave `split` out")
            last = set(groups[-max(1, round(share * len(groups))) :])
            parts = {c.name: "test" if c.group in last else "train" for c in cases}
        case {"list": str() as name, **rest} if not rest.keys() - {"fold"}:
            cases, parts = _listed(cases, Path(root, name), rest.get("fold"))
        case {**rest} if not rest:
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
