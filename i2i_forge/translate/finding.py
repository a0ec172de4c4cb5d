"""The cases that somebody names for a translation: files, folders of them, or a table with one in each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.domains import Domains
from i2i_forge.data.patterns import PLACEHOLDER, name_expression
from i2i_forge.errors import DataError
from i2i_forge.system.files import read_text


def cases_among(
    inputs: Sequence[Path], source: str, patterns: Mapping[str, Sequence[str]], domains: Domains
) -> list[Case]:
    """The cases that somebody names for a translation, each with the files of the source and what else is there.

    Args:
        inputs: files and folders; a folder of a series is a file.
        source: the image that is translated.
        patterns: image -> the patterns of its stack, for a folder of cases, the folder of one, or the first file of
            one; of a folder without a match every file is a case.

    Raises:
        DataError: there is no such file or folder, no image in it, or two cases have one name.
    """
    found: list[Case] = []
    for path in inputs:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder", fix="give images, or folders of images")
        is_file = path.is_file() or domains.files.is_series(path)
        if source in patterns and (known := _known(path, source, patterns, is_file=is_file)):
            found += known
        elif is_file:
            found.append(_alone({source: (path,)}, source, domains))
        elif len(patterns.get(source, [""])) > 1:
            raise DataError(
                f"{path}: nothing in it is named {' and '.join(patterns[source])}", fix="give --files a=..."
            )
        else:
            found += folder_cases({source: path}, domains.files.ending)
    return _named(found, "two inputs", "translate them in two commands, into two folders")


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
    found: list[Case] = []
    for row in rows:
        files = {
            name: tuple(table.parent / str(row[column]) for column in stack)
            for name, stack in columns.items()
            if stack and all(row[column] for column in stack)
        }
        if source not in files:
            raise DataError(f"{table}: line {rows.line_num} has no file of '{source}'", fix="give it")
        for path in (path for stack in files.values() for path in stack):
            if not path.exists():
                raise DataError(f"{table}: line {rows.line_num} names {path}, which is not there", fix="correct it")
        case = _alone(files, source, domains)
        found.append(replace(case, name=row.get("case") or case.name))
    if not found:
        raise DataError(f"{table}: there is no row in it", fix="write one for each case")
    return _named(found, f"{table}: two rows", "give each another name in a column `case`")


def _alone(files: Mapping[str, tuple[Path, ...]], source: str, domains: Domains) -> Case:
    """The case that is called by its source's file."""
    file = files[source][0]
    return Case(file.name.removesuffix(domains.files.ending(file)), file.name, files)


def _named(cases: Sequence[Case], two: str, fix: str) -> list[Case]:
    """The cases by names that files may have. Raises DataError where two have one."""
    found: dict[str, Case] = {}
    for case in cases:
        name = case.name.replace("/", "_")
        if name in found:
            raise DataError(f"{two} are called {name}", fix=fix)
        found[name] = replace(case, name=name)
    return list(found.values())


def _known(path: Path, source: str, patterns: Mapping[str, Sequence[str]], *, is_file: bool) -> list[Case]:
    """The cases that patterns find below a folder, or as whose first file or folder they know a path; else none."""
    inside = [path] if is_file else sorted(path.iterdir())
    found = [] if is_file else _cases_of(path, source, patterns)
    return found or [case for file in inside if (case := _case_of(file, source, patterns))]


def _case_of(file: Path, source: str, patterns: Mapping[str, Sequence[str]]) -> Case | None:
    """The case whose first file this is, with what else of it lies where the patterns say; nothing is searched."""
    first, parts = patterns[source][0], file.absolute().parts
    depth = first.count("/") + 1
    match = name_expression(first).fullmatch("/".join(parts[-depth:])) if "*" not in first else None
    if match is None or not match.groupdict():
        return None
    values, root = match.groupdict(), Path(*parts[:-depth])
    files = {}
    for name, stack in patterns.items():
        paths = [root / PLACEHOLDER.sub(lambda m: values.get(m[1], "*"), pattern) for pattern in stack]
        if all(path.exists() for path in paths):
            files[name] = tuple(paths)
    case = values.get("case") or "_".join(values.values())
    return Case(case, values.get("subject") or case, files) if source in files else None


def _cases_of(folder: Path, source: str, patterns: Mapping[str, Sequence[str]]) -> list[Case]:
    """The cases in a folder by patterns, of which those of the source have to be there; none where nothing matches."""
    found = find_cases(folder, {source: patterns[source]}, missing_ok=True)
    named = {case.name: case for case in found}
    for name, stack in patterns.items():
        for case in find_cases(folder, {name: stack}, "skip", missing_ok=True) if name != source else ():
            if case.name in named:
                named[case.name] = replace(named[case.name], files={**named[case.name].files, **case.files})
    return list(named.values())


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
