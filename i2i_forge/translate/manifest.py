"""Cases that a table names, one in a row: which file is what, where no pattern of names says it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from i2i_forge.data.cases import Case
from i2i_forge.data.domains import Domains
from i2i_forge.errors import DataError
from i2i_forge.system.files import read_text


def listed_cases(table: Path, source: str, wanted: Collection[str], domains: Domains) -> list[Case]:
    """The cases of a table with a column for each image.

    Args:
        table: a CSV file with the columns `case` (else the name of the source's file) and, for each image, its name, or
            NAME.CHANNEL for each file of a stack: case, a.T1, a.T2, mask. Paths are relative to the table's folder.
        source: the image that is translated, which every row has.
        wanted: the images that are used; other columns are not looked at.

    Raises:
        DataError: a column of the source or a file is missing, or two rows have one name.
    """
    rows = csv.DictReader(io.StringIO(read_text(table)))
    columns = {name: _columns(table, rows.fieldnames or (), name, domains[name].names) for name in sorted(wanted)}
    if not columns[source]:
        raise DataError(f"{table}: there is no column '{source}'", fix="give it, or one for each channel: a.T1, a.T2")
    found: dict[str, Case] = {}
    for row in rows:
        files = {
            name: tuple(table.parent / str(row[column]) for column in stack)
            for name, stack in columns.items()
            if stack and all(row[column] for column in stack)
        }
        for path in (path for stack in files.values() for path in stack):
            if not path.exists():
                raise DataError(f"{table}: line {rows.line_num} names {path}, which is not there", fix="correct it")
        if source not in files:
            raise DataError(f"{table}: line {rows.line_num} has no file of '{source}'", fix="give it")
        file = files[source][0]
        name = (row.get("case") or file.name.removesuffix(domains.files.ending(file))).replace("/", "_")
        if name in found:
            raise DataError(f"{table}: two rows are called {name}", fix="give each another name in a column `case`")
        found[name] = Case(name, name, files)
    if not found:
        raise DataError(f"{table}: there is no row in it", fix="write one for each case")
    return list(found.values())


def _columns(table: Path, known: Sequence[str], name: str, channels: Sequence[str]) -> list[str]:
    """Those of an image, in the order of its channels; none where the table has none."""
    if name in known:
        return [name]
    stack = [f"{name}.{channel}" for channel in channels]
    given = [column for column in known if column.startswith(f"{name}.")]
    if given and sorted(given) != sorted(stack):
        raise DataError(
            f"{table} has the columns {', '.join(given)}, and {name} the channels {', '.join(channels)}",
            fix=f"name them {', '.join(stack)}",
        )
    return stack if given else []
