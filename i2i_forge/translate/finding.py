"""The cases that somebody names for a translation: files, and folders of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.domains import Domains
from i2i_forge.data.patterns import PLACEHOLDER, name_expression
from i2i_forge.errors import DataError


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
        if matching := _known(path, source, patterns, is_file=is_file):
            found += matching
            continue
        if is_file:
            found.append(Case(path.name.removesuffix(domains.files.ending(path)), path.name, {source: (path,)}))
            continue
        if len(patterns.get(source, [""])) > 1:
            raise DataError(
                f"{path}: nothing in it is named {' and '.join(patterns[source])}", fix="give --files a=..."
            )
        found += folder_cases({source: path}, domains.files.ending)
    found = [replace(case, name=case.name.replace("/", "_")) for case in found]
    names = [case.name for case in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataError(f"two inputs are called {twice[0]}", fix="translate them in two commands, into two folders")
    return found


def _known(path: Path, source: str, patterns: Mapping[str, Sequence[str]], *, is_file: bool) -> list[Case]:
    """The cases that patterns find below a folder, or as whose first file or folder they know a path; else none."""
    if source not in patterns:
        return []
    inside = [path] if is_file else sorted(path.iterdir())
    found = [] if is_file else _cases_of(path, source, patterns)
    return found or [case for file in inside if (case := _case_of(file, source, patterns))]


def _case_of(file: Path, source: str, patterns: Mapping[str, Sequence[str]]) -> Case | None:
    """The case whose first file this is, with what else of it lies where the patterns say; nothing is searched."""
    first = patterns[source][0]
    parts = file.absolute().parts
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
