"""Writing a checkpoint: whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save as tensor_bytes
from torch import Tensor

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import DivergedError, ResourceError
from i2i_forge.run.checkpoint.reading import (
    EMA,
    FORMAT_VERSION,
    MANIFEST,
    MODEL,
    first_not_finite,
    folder_of,
    list_steps,
)
from i2i_forge.run.checkpoint.spaces import described
from i2i_forge.system.files import sync

log = logging.getLogger("i2i_forge")

SLOW = 60.0  # seconds: a save that takes longer is reported
PARTIAL, TRASH = ".tmp-", ".trash-"  # begin the names of folders that are no checkpoints yet, or any more
PAUSE = 1.0  # seconds before a failed save is tried again


def save(
    root: Path, step: int, trainer: Trainer, state: Mapping[str, Any], keep: int,
    other_ranks: Sequence[Mapping[str, Tensor]] = (),
) -> Path:  # fmt: skip
    """Write the checkpoint of a step and remove all but the newest `keep`.

    Args:
        root: the `checkpoints` folder; made when it is not there.
        step: steps done.
        state: anything JSON that belongs with it.
        other_ranks: what ranks 1, 2 ... gave as `of_this_rank`.

    Raises:
        ResourceError: the disk is full or fails, twice; what was there before is untouched.
        DivergedError: a weight or an optimizer's tensor is not finite; nothing is written.
    """
    files = _content(step, trainer, state, other_ranks)
    final, began = folder_of(root, step), time.monotonic()
    try:
        _write(final, files)
    except OSError as error:
        log.warning("the checkpoint of step %d could not be written (%s); trying once more", step, _reason(error))
        time.sleep(PAUSE)
        sweep(root)  # what earlier kills left takes space as well
        _write_or_give_up(final, files, step)
    if (seconds := time.monotonic() - began) > SLOW:
        log.warning("writing the checkpoint of step %d to %s took %.0f s", step, root, seconds)
    _remove_old(root, step, keep)
    return final


def of_this_rank(trainer: Trainer) -> dict[str, Tensor]:
    """What each rank has for itself: image pools and running statistics. Parameters are the same on all."""
    shared = trainer.parameters()
    return _plain({name: value for name, value in trainer.state_dict().items() if name not in shared})


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


def _content(
    step: int, trainer: Trainer, state: Mapping[str, Any], other_ranks: Sequence[Mapping[str, Tensor]]
) -> dict[str, bytes]:
    model, optimizers = _plain(trainer.state_dict()), _plain(trainer.optimizer_state())
    if bad := first_not_finite(model) or first_not_finite(optimizers):
        raise DivergedError(
            f"{bad} is not finite after step {step}; it was not saved",
            fix="resume from the last checkpoint with a lower learning rate",
        )
    spaces = {"domains": domains} if (domains := described(trainer.spaces)) else {}
    files = {
        MODEL: tensor_bytes(model),
        "optimizers.safetensors": tensor_bytes(optimizers),
        **({EMA: tensor_bytes(_plain(trainer.ema.values))} if trainer.ema else {}),
        **{f"rank-{rank}.safetensors": tensor_bytes(dict(own)) for rank, own in enumerate(other_ranks, 1)},
        "state.json": _json({**state, **spaces, "step": step, "format": FORMAT_VERSION}),
    }
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    return {**files, MANIFEST: _json({"format": FORMAT_VERSION, "files": sums})}


def _write_or_give_up(final: Path, files: Mapping[str, bytes], step: int) -> None:
    try:
        _write(final, files)
    except OSError as error:
        raise ResourceError(
            f"the checkpoint of step {step} could not be written to {final.parent}: {_reason(error)}",
            fix="free disk space or choose another --run folder; the same command resumes from the previous checkpoint",
        ) from error


def _write(final: Path, files: Mapping[str, bytes]) -> None:
    """Put the files into place. Raises OSError; then nothing has changed."""
    root = final.parent
    partial = root / f"{PARTIAL}{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        _require_space(root, sum(map(len, files.values())))
        for name, data in files.items():
            _write_synced(partial / name, data)
        sync(partial)
        replaced = set_aside(final) if final.exists() else None
        partial.rename(final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync(root)
    if replaced:
        shutil.rmtree(replaced, ignore_errors=True)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"it needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free")


def _remove_old(root: Path, step: int, keep: int) -> None:
    # newer ones are damaged, or we would have resumed from them; they must not push out what was just written
    for old in [s for s in list_steps(root) if s <= step][:-keep]:
        try:
            shutil.rmtree(set_aside(folder_of(root, old)), ignore_errors=True)
        except OSError as error:
            log.warning("the old checkpoint of step %d could not be removed: %s", old, _reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2, sort_keys=True).encode()


def _write_synced(file: Path, data: bytes) -> None:
    with file.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
