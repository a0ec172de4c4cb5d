"""Checkpoints: folders that are there whole or not at all, and are verified whenever they are read.

    checkpoints/step-00012000/   model.safetensors   optimizers.safetensors   state.json   MANIFEST.json

A checkpoint is written to a hidden folder, every file synced to disk, and renamed once: the rename is the commit.
MANIFEST.json holds the size and SHA-256 of each file; the format's version stands in it and in state.json, so that a
damaged version is told from a newer one. There is no pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from i2i_forge.errors import CheckpointError, DivergedError, ResourceError
from i2i_forge.trainer import Trainer

FORMAT_VERSION = 1
PREFIX = "step-"
HIDDEN = (".tmp-", ".trash-")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory."""

    folder: Path
    step: int
    model: dict[str, Tensor]
    optimizers: dict[str, Tensor]
    state: Mapping[str, Any]
    model_sha256: str  # of model.safetensors: what identifies the weights


def save(root: Path, step: int, trainer: Trainer, state: Mapping[str, Any], keep: int) -> Path:
    """Write the checkpoint of a step and remove all but the newest `keep`.

    Args:
        root: the `checkpoints` folder.
        step: steps done.
        state: anything JSON that belongs with it.

    Raises:
        ResourceError: the disk is full or does not take it; what was there before is untouched.
        DivergedError: a weight is not finite; nothing is written.
    """
    model, optimizers = _plain(trainer.state_dict()), _plain(trainer.optimizer_state())
    if bad := _not_finite(model):
        raise DivergedError(
            f"{bad} is not finite after step {step}; it was not saved",
            fix="resume from the last checkpoint with a lower learning rate",
        )
    files = {
        "model.safetensors": tensor_bytes(model),
        "optimizers.safetensors": tensor_bytes(optimizers),
        "state.json": _json({**state, "step": step, "format": FORMAT_VERSION}),
    }
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    files["MANIFEST.json"] = _json({"format": FORMAT_VERSION, "files": sums})
    final = root / f"{PREFIX}{step:08d}"
    partial = root / f"{HIDDEN[0]}{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        for name, data in files.items():
            _write_synced(partial / name, data)
        _sync_folder(partial)
        replaced = _set_aside(final) if final.exists() else None
        partial.rename(final)
        _sync_folder(root)
        if replaced:
            shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ResourceError(
            f"the checkpoint of step {step} could not be written to {root}: {error.strerror or error}",
            fix="free disk space or choose another --run folder; the same command resumes from the previous checkpoint",
        ) from error
    # newer ones are damaged, or we would have resumed from them; they must not push out what was just written
    for old in [s for s in list_steps(root) if s <= step][:-keep]:
        shutil.rmtree(_set_aside(root / f"{PREFIX}{old:08d}"), ignore_errors=True)
    return final


def list_steps(root: Path) -> list[int]:
    """The steps that have a checkpoint folder, ascending."""
    numbers = [p.name.removeprefix(PREFIX) for p in root.glob(f"{PREFIX}*") if p.is_dir()] if root.is_dir() else []
    return sorted(int(n) for n in numbers if n.isdecimal() and n == f"{int(n):08d}")


def read(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint. Raises CheckpointError that says what is wrong with it."""
    name, version, sums = folder.name, *_manifest(folder)
    try:
        state = json.loads(_verified(folder, "state.json", sums))
        if state["format"] != version:
            raise ValueError("MANIFEST.json and state.json disagree about its format")
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint {name} has format {version}, this i2i_forge reads up to {FORMAT_VERSION}",
                fix="upgrade: pip install -U i2i-forge",
            )
        model, optimizers = (read_tensors(_verified(folder, f"{p}.safetensors", sums)) for p in ("model", "optimizers"))
        if bad := _not_finite(model):
            raise ValueError(f"{bad} is not finite")
        return Checkpoint(
            folder, int(state["step"]), model, optimizers, state, str(sums["model.safetensors"]["sha256"])
        )
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {name} is damaged: {error}") from error


def _manifest(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The format's version, and size and SHA-256 of each file."""
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_bytes())
        return int(manifest["format"]), {str(file): dict(sums) for file, sums in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {folder.name} is damaged: its MANIFEST.json cannot be read") from error


def _verified(folder: Path, file: str, sums: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A file's content, if it is what was written."""
    try:
        data = (folder / file).read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder.name} is damaged: {file} cannot be read") from error
    expected = sums.get(file, {})
    if len(data) != expected.get("bytes"):
        raise CheckpointError(f"checkpoint {folder.name} is damaged: {file} has the wrong size")
    if hashlib.sha256(data).hexdigest() != expected.get("sha256"):
        raise CheckpointError(f"checkpoint {folder.name} is damaged: {file} has the wrong SHA-256")
    return data


def newest(root: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies, or None when there is none at all. Damaged ones are passed to `warn`.

    Raises:
        CheckpointError: there are checkpoints, but all of them are damaged.
    """
    steps = list_steps(root)
    problems: list[CheckpointError] = []
    for step in reversed(steps):
        try:
            found = read(root / f"{PREFIX}{step:08d}")
        except CheckpointError as error:
            if error.fix:
                raise
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


def restore(checkpoint: Checkpoint, trainer: Trainer, *, optimizers: bool = True) -> None:
    """Put a checkpoint into a trainer. Raises CheckpointError when it is of other networks."""
    own = trainer.state_dict()
    names = [
        n for n in own
        if n not in checkpoint.model
        or (own[n].shape != checkpoint.model[n].shape and not n.startswith("state."))  # a pool fills as it is used
    ]  # fmt: skip
    names += [n for n in checkpoint.model if n not in own]
    if names:
        raise CheckpointError(
            f"checkpoint {checkpoint.folder.name} is of other networks; {len(names)} tensors differ: "
            + ", ".join(names[:5]),
            fix="use the recipe it was trained with (resolved.yaml beside it)",
        )
    trainer.load_state_dict(checkpoint.model)
    if not optimizers:
        return
    try:
        trainer.load_optimizer_state(checkpoint.optimizers)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.folder.name} has a state of other optimizers: {error}",
            fix="use the recipe it was trained with (resolved.yaml beside it)",
        ) from error


def sweep(root: Path) -> None:
    """Remove what an interrupted save or removal left."""
    for stray in _hidden(root):
        shutil.rmtree(stray, ignore_errors=True)


def digest(trainer: Trainer) -> str:
    """SHA-256 over the names and bytes of all the trainer's state: equal digests mean equal training."""
    total = hashlib.sha256()
    for part in (trainer.state_dict(), trainer.optimizer_state()):
        for name, value in sorted(part.items()):
            total.update(name.encode())
            total.update(tensor_bytes({name: value.detach().cpu().contiguous()}))
    return total.hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2, sort_keys=True).encode()


def _write_synced(file: Path, data: bytes) -> None:
    with file.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _set_aside(folder: Path) -> Path:
    """Rename what is to be deleted: a half-deleted folder must not look like a checkpoint."""
    trash = folder.with_name(f"{HIDDEN[1]}{folder.name}-{secrets.token_hex(2)}")
    return folder.rename(trash)


def _not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor that holds NaN or infinity, or nothing."""
    return next((n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()), "")


def _hidden(root: Path) -> Iterator[Path]:
    for prefix in HIDDEN:
        yield from root.glob(f"{prefix}*")
