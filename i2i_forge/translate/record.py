"""translation.json: which files a translation wrote, of which run, what they were made of and how many values suffered.

A later translation may replace the files that it names, and no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_forge.data.cases import Case
from i2i_forge.data.domains import Domains
from i2i_forge.errors import UsageError, disk_error
from i2i_forge.system.files import read_record, write_whole
from i2i_forge.system.outputs import marked, refuse_to_replace
from i2i_forge.translate.files import MARK
from i2i_forge.translate.stored import Translation

RECORD = "translation.json"


class Written:
    """What is written into a folder, and translation.json, which names it.

    Args:
        out: the folder.
        about: what all translations have in common.

    Attributes:
        files: those that were written.
        cases: what there is to say of each.
    """

    def __init__(self, out: Path, about: Mapping[str, Any]) -> None:
        self.out, self.about = out, about
        self.files: list[Path] = []
        self.cases: dict[str, Any] = {}
        self._planned: dict[str, list[list[Path]]] = {}
        self._earlier = read_record(out / RECORD)

    def plan(self, case: Case, names: Sequence[Sequence[str]]) -> None:
        """The names of its translations: one or more files for each code."""
        self._planned[case.name] = [[self.out / name for name in each] for each in names]

    def refuse_others(self, cases: Sequence[Case], domains: Domains) -> None:
        """Raise UsageError where an input, or what no translation wrote, would be replaced."""
        planned = [file for several in self._planned.values() for each in several for file in each]
        own = {*self._earlier.get("outputs", {}), *([RECORD] if "outputs" in self._earlier else [])}
        read = [file for case in cases for stack in case.files.values() for file in stack]
        refuse_to_replace([*planned, self.out / RECORD], lambda file: file.name in own, read)
        refuse_to_replace([self.out / "sheet.png"], marked(MARK), read)
        for folder in filter(Path.is_dir, planned):
            is_series = all(file.is_file() and domains.files.ending(file) for file in folder.iterdir())
            if folder.name not in own or not is_series:
                raise UsageError(
                    f"{folder}: there is a folder already, which this command did not write", fix="name another place"
                )

    def write(self, case: Case, made: Sequence[Translation], facts: Mapping[str, Any]) -> None:
        """Write the translations of a case."""
        outputs: dict[str, str] = {}
        for each, files in zip(made, self._planned[case.name], strict=True):
            outputs |= each.write(files)
            self.files += files
        self.cases[case.name] = {
            "inputs": {str(file): _digest(file) for stack in case.files.values() for file in stack}, **facts,
            "saturated": sum(m.saturated for m in made), "nodata": made[0].nodata, "outputs": outputs,
        }  # fmt: skip

    def remember(self) -> None:
        """Write translation.json, if anything was written; what the same run wrote before stays in it."""
        if not self.cases:
            return
        is_same = all(self._earlier.get(key) == value for key, value in _plain(self.about).items())
        cases = {**(self._earlier.get("cases", {}) if is_same else {}), **self.cases}
        outputs = {name: digest for case in cases.values() for name, digest in case["outputs"].items()}
        said = {**self.about, "outputs": outputs, "cases": cases}
        try:
            write_whole(self.out / RECORD, json.dumps(said, indent=2) + "\n")
        except OSError as error:
            raise disk_error(self.out / RECORD, error) from error


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a series, by their names."""
    found = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with file.open("rb") as content:
            found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()
