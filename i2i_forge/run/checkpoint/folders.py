"""Where checkpoints are and what one holds."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

FORMAT_VERSION = 1
MANIFEST, EMA = "MANIFEST.json", "ema.safetensors"
PREFIX = "step-"
PARTIAL, TRASH = ".tmp-", ".trash-"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory."""

    folder: Path
    step: int
    model: dict[str, Tensor]
    optimizers: dict[str, Tensor]
    state: Mapping[str, Any]
    model_sha256: str  # of model.safetensors: what identifies the weights
    format: int = FORMAT_VERSION  # of the files; what is in memory is of the newest
    ema: Mapping[str, Tensor] = field(default_factory=dict)  # averages of weights; empty where the recipe has none
    ema_sha256: str = ""
    other_ranks: Sequence[Mapping[str, Tensor]] = ()  # of ranks 1, 2 ...: what they hold otherwise than the model says


def folder_of(root: Path, step: int) -> Path:
    """The folder of a step's checkpoint; `root` is the `checkpoints` folder."""
    return root / f"{PREFIX}{step:08d}"


def list_steps(root: Path) -> list[int]:
    """The steps that have a checkpoint folder, ascending."""
    numbers = [p.name.removeprefix(PREFIX) for p in root.glob(f"{PREFIX}*") if p.is_dir()] if root.is_dir() else []
    return sorted(int(n) for n in numbers if n.isdecimal() and n == f"{int(n):08d}")


def sweep(root: Path) -> None:
    """Remove what an interrupted save or removal left; not where a link leads."""
    if root.is_symlink():
        return
    for prefix in (PARTIAL, TRASH):
        for stray in root.glob(f"{prefix}*"):
            shutil.rmtree(stray, ignore_errors=True)


def set_aside(folder: Path) -> Path:
    """Rename what is to be deleted: a half-deleted folder must not look like a checkpoint."""
    return folder.rename(folder.with_name(f"{TRASH}{folder.name}-{secrets.token_hex(2)}"))


def first_not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor that holds NaN or infinity, or nothing."""
    return next((n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()), "")
