"""Checkpoints of other programs: which tensor of theirs is which of ours."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor

from i2i_forge.catalog.registry import Registry
from i2i_forge.engine.method import Method
from i2i_forge.errors import CheckpointError, UsageError, suggest
from i2i_forge.run.foreign_files import read_foreign

__all__ = [
    "ForeignFile", "Format", "KeyedFormat", "by_part", "load_foreign", "part_of", "read_files", "read_foreign",
    "state_dict",
]  # fmt: skip


class Format(Protocol):
    """How another program lays out a checkpoint. Registered in `catalog.formats`.

    Attributes:
        parts: the files it consists of, by what they hold.
        recipe: the shipped recipe whose objective it was trained with.
        title: what messages call such a checkpoint: "the published MUNIT code".
        file: what its files are called, with {part} and {step}.
    """

    parts: tuple[str, ...]
    recipe: str
    title: str
    file: str

    def part_of(self, content: Any, name: str) -> str:
        """Which part a file is, by its content and, where that is not enough, its file's name. Raises CheckpointError
        when it is not of this layout."""

    def trained(self, content: Any, name: str) -> tuple[int, str]:
        """How far a file's weights were trained: the steps, 0 where neither it nor its name tells, and what tells
        something else, "epoch 200". A format may lack this."""

    def images(self, files: Mapping[str, Any]) -> Mapping[str, int]:
        """How many channels the images of each domain have, as far as files tell. A format of RGB alone lacks it."""

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The `networks` section of a recipe that the files fit, inferred from their names and shapes. A role's
        options are complete if they have `use`, otherwise they change those of `recipe`. Raises CheckpointError."""

    def load(self, files: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The files' tensors under our names; `own` is the trainer's state. Raises CheckpointError."""

    def save(self, own: Mapping[str, Tensor]) -> dict[str, Any]:
        """Our tensors as the content of each part."""


class KeyedFormat(ABC):
    """A layout in which every tensor of ours is one tensor of the files under another name.

    Subclasses say where a tensor goes (`place`) and, where they differ, how a part's content nests (`flatten`,
    `unflatten`), how values differ (`ours`, `theirs`), and which of the files' tensors nobody needs (`unused`).
    """

    parts: ClassVar[tuple[str, ...]]
    recipe: ClassVar[str]
    title: ClassVar[str]
    file: ClassVar[str] = "{part}_{step:08d}.pt"
    unused: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")

    @abstractmethod
    def part_of(self, content: Any, name: str) -> str:
        """See Format."""

    @abstractmethod
    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """See Format."""

    @abstractmethod
    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """The part and the name, as `flatten` gives it, of one of our tensors; None when the layout has no place."""

    def flatten(self, content: Any, part: str) -> dict[str, Tensor]:
        """A part's tensors by name. Raises CheckpointError when the content is something else."""
        return state_dict(content, f"{part}: this is not a checkpoint of {self.title}")

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> Any:
        """A part's content, names in the published order."""
        return tensors

    def ours(self, key: str, value: Tensor) -> Tensor:
        """A file's tensor as we keep it."""
        return value

    def theirs(self, key: str, value: Tensor) -> Tensor:
        """The reverse of `ours`."""
        return value

    def trained(self, content: Any, name: str) -> tuple[int, str]:
        """See Format."""
        return 0, ""

    def load(self, files: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The files' tensors under our names."""
        tensors = {part: self.flatten(content, part) for part, content in files.items()}
        left = {(part, name) for part in tensors for name in tensors[part] if not self.unused.search(name)}
        loaded = {}
        for key, value in own.items():
            place = self.place(key, own)
            if place is None or place[0] not in files:
                continue
            part, name = place
            if name not in tensors[part]:
                if key.endswith("num_batches_tracked"):  # files of old torch lack it; nothing reads it
                    continue
                raise CheckpointError(f"{part} has no '{name}' (our {key})", fix=_FIX)
            found = self.ours(key, tensors[part][name])
            if found.shape != value.shape:
                raise CheckpointError(
                    f"{part}: '{name}' has shape {tuple(tensors[part][name].shape)}, our {key} {tuple(value.shape)}",
                    fix=f"give the recipe these networks: {self.networks(files)}",
                )
            loaded[key] = found
            left.discard(place)
        if left:
            part, name = min(left)
            raise CheckpointError(
                f"{part} holds {len(left)} tensors that the recipe's networks lack, first '{name}'", fix=_FIX
            )
        return loaded

    def save(self, own: Mapping[str, Tensor]) -> dict[str, Any]:
        """Our tensors as the content of each part; parts without any are left out."""
        tensors: dict[str, dict[str, Tensor]] = {}
        for key, value in own.items():
            if key.startswith("state."):  # what a run remembers, not weights
                continue
            place = self.place(key, own)
            if place is None:
                raise CheckpointError(
                    f"'{key}' has no place in a checkpoint of {self.title}", fix="export a run of that method"
                )
            part, name = place
            tensors.setdefault(part, {})[name] = self.theirs(key, value.detach().cpu()).clone()
        return {part: self.unflatten(part, tensors[part]) for part in self.parts if part in tensors}


_FIX = "`forge checkpoint import` makes a recipe that fits the file"


def state_dict(content: Any, otherwise: str) -> dict[str, Tensor]:
    """The content of a file that is a state dict, without the prefixes that wrappers add. Raises CheckpointError."""
    if not isinstance(content, Mapping) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(otherwise, fix="give the file of a state dict")
    return {re.sub(r"^((module|_orig_mod)\.)+", "", str(name)): value for name, value in content.items()}


def part_of(content: Any, file: str | Path, layout: str, formats: Registry[Any]) -> str:
    """Which part of a layout a file is. Raises CheckpointError that says what it looks like instead."""
    reader: Format = formats.get(layout)()
    try:
        return reader.part_of(content, Path(file).name)
    except CheckpointError as error:
        for entry in formats.entries():
            try:
                part = entry.component().part_of(content, Path(file).name)
            except CheckpointError:
                continue
            raise CheckpointError(
                f"{file}: not a checkpoint of {reader.title}; it looks like '{part}' of {entry.component.title}",
                fix=f"use --format {entry.name}",
            ) from None
        raise CheckpointError(f"{file}: {error.message}", fix=error.fix) from None


@dataclass(frozen=True)
class ForeignFile:
    """A file of another program that was read; `part` is what its user says it is, "" where nothing was said."""

    path: Path
    part: str
    content: Any


def read_files(given: Iterable[str | Path], parts: Container[str]) -> list[ForeignFile]:
    """Read files as they are named on a command line, [PART=]FILE, where PART is one of `parts`.

    Raises CheckpointError.
    """
    files = []
    for text in map(str, given):
        said, _, rest = text.partition("=")
        part = said if rest and said in parts else ""
        path = Path(rest if part else text)
        files.append(ForeignFile(path, part, read_foreign(path)))
    return files


def by_part(files: Sequence[ForeignFile], layout: str, formats: Registry[Any]) -> dict[str, ForeignFile]:
    """The file of each part of a layout.

    Raises:
        CheckpointError: a file is not of this layout.
        UsageError: two files are of one part.
    """
    parts: dict[str, ForeignFile] = {}
    known = formats.get(layout)().parts
    for file in files:
        seen = part_of(file.content, file.path, layout, formats)
        part = file.part or seen
        if part not in known:
            raise CheckpointError(f"{file.path}: {layout} has no part '{part}'", fix=suggest(part, known, what="part"))
        if part in parts:
            raise UsageError(
                f"{parts[part].path} and {file.path} are both '{part}'",
                fix=f"give one file of each part, or say which it is, PART=FILE; the parts are {', '.join(known)}",
            )
        parts[part] = file
    return parts


def load_foreign(method: Method, files: Mapping[str, str | Path], layout: str, formats: Registry[Any]) -> None:
    """Take the weights of another program's checkpoint.

    Args:
        method: a trainer, whose networks get them.
        files: part -> file, e.g. {"gen": ..., "dis": ...}; parts may be left out.
        layout: of the files, one of `formats`.
        formats: the catalog's.

    Raises:
        CheckpointError: a file cannot be read, or does not fit these networks.
        UsageError: the layout has no such part.
    """
    reader: Format = formats.get(layout)()
    for part in files:
        if part not in reader.parts:
            raise UsageError(f"{layout} has no part '{part}'", fix=suggest(part, reader.parts))
    contents = {part: read_foreign(file) for part, file in files.items()}
    for part, content in contents.items():
        part_of(content, files[part], layout, formats)
    own = method.state_dict()
    method.load_state_dict(own | reader.load(contents, own))
