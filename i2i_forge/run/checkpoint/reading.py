"""What a checkpoint holds, where it is, and reading it: verified, or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i_forge.errors import CheckpointError
from i2i_forge.run.checkpoint.spaces import stored
from i2i_forge.system.files import LARGEST_TENSORS, one_line, open_to_read, read_bytes
from i2i_forge.system.tensor_files import read_json, read_tensors

FORMAT_VERSION = 1
MANIFEST, MODEL, EMA = "MANIFEST.json", "model.safetensors", "ema.safetensors"
PREFIX = "step-"
UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)  # what wrong content makes readers raise


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


# format -> what makes a checkpoint of the next format of it; a format that was ever released stays here for good,
# with a frozen checkpoint in tests/run/fixtures/
MIGRATIONS: dict[int, Callable[[Checkpoint], Checkpoint]] = {}


class NewerFormatError(CheckpointError):
    """A checkpoint is of a format that only later versions read: nothing is wrong with it."""


def folder_of(root: Path, step: int) -> Path:
    """The folder of a step's checkpoint; `root` is the `checkpoints` folder."""
    return root / f"{PREFIX}{step:08d}"


def list_steps(root: Path) -> list[int]:
    """The steps that have a checkpoint folder, ascending."""
    numbers = [p.name.removeprefix(PREFIX) for p in root.glob(f"{PREFIX}*") if p.is_dir()] if root.is_dir() else []
    return sorted(int(n) for n in numbers if n.isdecimal() and n == f"{int(n):08d}")


def first_not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor that holds NaN or infinity, or nothing."""
    return next((n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()), "")


def read(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint. Raises CheckpointError that says what is wrong with it."""
    version, sums = _manifest(folder)
    try:
        state = read_json(_verified(folder, "state.json", sums))
        if state["format"] != version:
            raise ValueError(f"{MANIFEST} and state.json disagree about its format")
        if version > FORMAT_VERSION:
            raise NewerFormatError(
                f"checkpoint {folder.name} has format {version}, this i2i_forge reads up to {FORMAT_VERSION}",
                fix="upgrade: pip install -U i2i-forge",
            )
        model, optimizers = (_tensors(folder, file, sums) for file in (MODEL, "optimizers.safetensors"))
        ranks = itertools.takewhile(sums.__contains__, (f"rank-{rank}.safetensors" for rank in itertools.count(1)))
        others = [_tensors(folder, file, sums) for file in ranks]
        ema = _tensors(folder, EMA, sums) if EMA in sums else {}
        found = Checkpoint(
            folder, int(state["step"]), model, optimizers, state, sums[MODEL]["sha256"], version,
            ema, sums[EMA]["sha256"] if EMA in sums else "", others,
        )  # fmt: skip
        stored(state)  # refuses what describes no images
        for older in range(version, FORMAT_VERSION):
            if older not in MIGRATIONS:
                raise ValueError(f"there is no format {older}")
            found = MIGRATIONS[older](found)
        return replace(found, state={**found.state, "format": FORMAT_VERSION})
    except UNUSABLE as error:
        raise _damaged(folder, str(error)) from error


def newest(root: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies, or None when there is none at all. Damaged ones are passed to `warn`.

    Raises:
        CheckpointError: there are checkpoints, but all of them are damaged, or one is of a newer format.
    """
    problems: list[CheckpointError] = []
    for step in reversed(list_steps(root)):
        try:
            found = read(folder_of(root, step))
        except NewerFormatError:
            raise
        except CheckpointError as error:
            problems.append(error)
            continue
        for problem in problems:
            warn(f"{problem.message}; using step {found.step}")
        return found
    if problems:
        raise CheckpointError(
            f"{root}: no checkpoint can be used. {problems[0].message}",
            fix="restore the folder from a copy, or start anew with another --run folder",
        )
    return None


def _manifest(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The format's version, and size and SHA-256 of each file."""
    try:
        manifest = read_json(read_bytes(folder / MANIFEST))
        return int(manifest["format"]), {str(file): dict(sums) for file, sums in manifest["files"].items()}
    except (OSError, *UNUSABLE) as error:
        raise _damaged(folder, f"its {MANIFEST} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _tensors(folder: Path, file: str, sums: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """A file's tensors. Raises ValueError when one is not finite."""
    tensors = read_tensors(_verified(folder, file, sums))
    if bad := first_not_finite(tensors):
        raise ValueError(f"{bad}{'' if file == MODEL else f' in {file}'} is not finite")
    return tensors


def _verified(folder: Path, file: str, sums: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A file's content, if it is what was written."""
    expected = sums.get(file, {})
    try:
        with open_to_read(folder / file, LARGEST_TENSORS) as opened:
            if os.fstat(opened.fileno()).st_size != expected.get("bytes"):
                raise _damaged(folder, f"{file} has the wrong size")
            data = opened.read()
    except OSError as error:
        raise _damaged(folder, f"{file} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != expected.get("sha256"):
        raise _damaged(folder, f"{file} has the wrong SHA-256")
    return data


def _damaged(folder: Path, cause: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {folder.name} is damaged: {one_line(cause)}", fix="restore its folder from a copy, or remove it"
    )
