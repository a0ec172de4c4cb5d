"""Checkpoints of other programs. Read with `weights_only=True` and never otherwise: a pickle can run code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i_forge.errors import CheckpointError


class Format(Protocol):
    """How another program lays out a checkpoint. Registered in `catalog.formats`.

    Attributes:
        parts: the files it consists of, by what they hold.
        recipe: the shipped recipe whose objective it was trained with.
    """

    parts: tuple[str, ...]
    recipe: str

    def part_of(self, content: Any) -> str:
        """Which part a file's content is. Raises CheckpointError."""

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The `networks` options of a recipe that the files fit, inferred from their shapes."""

    def load(self, files: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The files' tensors under our names; `own` is the trainer's state. Raises CheckpointError."""

    def save(self, own: Mapping[str, Tensor]) -> dict[str, Any]:
        """Our tensors as the content of each part."""


def read_foreign(file: str | Path) -> Any:
    """The content of a `.pt`/`.pth` file: nested dicts and tensors, on the CPU. Raises CheckpointError."""
    file = Path(file)
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such file", fix="give the path of a downloaded checkpoint")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle's versions: the file is read, or refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle makes its reader stumble over
        start = file.read_bytes()[:64].lstrip()
        if start.startswith(b"<"):
            raise CheckpointError(f"{file}: not a checkpoint, it looks like HTML", fix="download it again") from None
        reason = "the file is empty" if not start else (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(
            f"{file}: not a checkpoint that can be read safely ({reason})",
            fix="only files of plain tensors are read; ask for a state_dict, or download it again",
        ) from None
