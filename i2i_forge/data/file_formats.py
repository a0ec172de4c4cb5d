"""The formats of image files that there are, and which one a file is of."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from i2i_forge.catalog.registry import Registry
from i2i_forge.data.file_checks import bad, check_file
from i2i_forge.data.stored import HEAD, FileFormat, Stored
from i2i_forge.errors import DataError


class Files:
    """The formats there are, and which one a file is of.

    Args:
        registry: `catalog.files`.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry
        self.formats: dict[str, FileFormat] = {entry.name: entry.component() for entry in registry.entries()}

    @property
    def endings(self) -> tuple[str, ...]:
        """Of all formats, the longest first."""
        found = {ending for each in self.formats.values() for ending in each.endings}
        return tuple(sorted(found, key=lambda ending: (-len(ending), ending)))

    def ending(self, path: str | Path) -> str:
        """The ending of a name, as far as any format has it: ".nii.gz"; "" for others."""
        lowered = str(path).lower()
        return next((ending for ending in self.endings if lowered.endswith(ending)), "")

    def open(self, path: Path) -> Stored:
        """The file, by the format of its content; the ending says which is asked first.

        Raises:
            BadImage: no format knows it, or its own refuses it; DataError: it cannot be read, or what its format needs
                is not installed, or two formats take it.
        """
        name, note = self._name_of(path)
        stored = self.format(name).open(path)
        if note:
            object.__setattr__(stored.header, "notes", (*stored.header.notes, note))
        return stored

    def format(self, name: str) -> FileFormat:
        """A format by its name. Raises DataError when what it needs is not installed."""
        self.registry.get(name)  # which says so when there is none
        found = self.formats[name.rpartition(":")[2]]
        for module, extra in found.needs.items():
            if importlib.util.find_spec(module) is None:
                raise DataError(f"files of {name} need the package {module}", fix=f"pip install 'i2i-forge[{extra}]'")
        return found

    def format_of(self, path: Path) -> str:
        """The name of the format that a file is of."""
        return self._name_of(path)[0]

    def named(self, ending: str) -> str:
        """The name of the format that has an ending. Raises DataError."""
        found = [name for name, each in self.formats.items() if ending in each.endings]
        if not found:
            raise DataError(f"no format has names that end in '{ending}'", fix=f"use {', '.join(self.endings)}")
        return found[0]

    def _name_of(self, path: Path) -> tuple[str, str]:
        """The name of its format, and what is odd about it."""
        head = b""
        if not path.is_dir():
            check_file(path)
            with path.open("rb", buffering=0) as file:
                head = file.read(HEAD)
        ending = self.ending(path)
        first = [name for name, each in self.formats.items() if ending and ending in each.endings]
        known = [name for name in first if self.formats[name].sniff(head, path)]
        others = [] if known else [name for name, each in self.formats.items() if each.sniff(head, path)]
        found = known or others
        if len(found) > 1:
            raise DataError(f"{path}: both {' and '.join(found)} take it for theirs", fix="remove one of the plugins")
        if not found:
            raise bad(path, "is of no format that is known here", f"use {_listed(self.formats)}, or remove it")
        return found[0], f"{found[0]} although named {path.name}" if others and ending else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
