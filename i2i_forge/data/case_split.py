"""Lists of which cases train and which test, as `split: {list: FILE}` reads them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from i2i_forge.data.case_survey import found_layout
from i2i_forge.data.cases import find_cases
from i2i_forge.data.file_formats import Files
from i2i_forge.data.splits import split_cases
from i2i_forge.errors import DataError, disk_error
from i2i_forge.system.files import natural_key, write_whole

HEADINGS = "case,group,"  # how a list begins, which a later one may replace
Row = tuple[str, str, str]


def split_list(
    root: Path, files: Files, patterns: Mapping[str, Sequence[str]], share: float | None, folds: int | None
) -> list[Row]:
    """Case, group, and "train", "test" or the number of the fold, in natural order of the groups.

    Args:
        patterns: image -> those of its stack; {} finds them, see `find_layout`.
        share: of the groups, the last of which test.
        folds: to so many the groups are dealt in turn instead.

    Raises:
        DataError: no cases are found, or the folder has a split already; there are fewer groups than parts.
    """
    layout = found_layout(root, files, patterns)
    if layout is None or layout.split:
        raise DataError(f"{root}: its folders say already what trains and what tests", fix="name the folder of one")
    cases = find_cases(root, layout.files)
    groups = sorted({case.group for case in cases}, key=natural_key)
    if len(groups) < (folds or 2):
        raise DataError(f"{root}: {len(groups)} groups make no {folds or 2} parts", fix="take fewer")
    if folds:
        part = {group: str(number % folds) for number, group in enumerate(groups)}
    else:
        split = split_cases(cases, {"test": share}, root)
        part = {case.group: name for name, some in split.items() for case in some}
    return [(case.name, group, part[group]) for group in groups for case in cases if case.group == group]


def write_list(rows: Sequence[Row], file: Path) -> None:
    """Write a list as CSV.

    Raises:
        UsageError: the folder cannot be written; ResourceError: the disk does not take it.
    """
    text = io.StringIO()
    kind = "fold" if rows[0][-1].isdecimal() else "split"
    csv.writer(text, lineterminator="\n").writerows([("case", "group", kind), *rows])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.getvalue())
    except OSError as error:
        raise disk_error(file, error) from error
