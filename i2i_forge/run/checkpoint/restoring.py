"""Putting a checkpoint into a trainer, and comparing trainers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from safetensors.torch import save as tensor_bytes
from torch import Tensor

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import CheckpointError
from i2i_forge.run.checkpoint.folders import Checkpoint
from i2i_forge.system import distributed
from i2i_forge.system.files import one_line

STATE = "state."  # what a run remembers, not weights; a pool's size changes as it is used
_FIX = "use the recipe it was trained with (resolved.yaml beside it)"


def restore(checkpoint: Checkpoint, trainer: Trainer, *, optimizers: bool = True) -> None:
    """Put a checkpoint into a trainer, which takes over the optimizers' tensors: read it again to restore it again.

    Raises CheckpointError when it is of other networks.
    """
    model = checkpoint.model
    if 0 < (rank := distributed.rank()) <= len(checkpoint.other_ranks):
        model = model | dict(checkpoint.other_ranks[rank - 1])
    if names := differing(model, trainer.state_dict()):
        raise CheckpointError(
            f"checkpoint {checkpoint.folder.name} is of other networks; {len(names)} tensors differ: "
            + ", ".join(names[:5]),
            fix=f"{_FIX}, or begin a new run with its weights: forge train --init-from",
        )
    trainer.load_state_dict(model)
    if trainer.ema and checkpoint.ema:  # without any the averages begin here
        if names := differing(checkpoint.ema, trainer.ema.values):
            raise CheckpointError(
                f"checkpoint {checkpoint.folder.name} has averages of other weights; {len(names)} tensors differ: "
                + ", ".join(names[:5]),
                fix=f"{_FIX}; ema.roles there says which",
            )
        trainer.ema.load(checkpoint.ema)
    if not optimizers:
        return
    try:
        trainer.load_optimizer_state(checkpoint.optimizers)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.folder.name} has a state of other optimizers: {error}", fix=_FIX
        ) from error


def differing(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors that one side lacks or that differ in shape."""
    names = [
        name for name in own
        if name not in theirs or (own[name].shape != theirs[name].shape and not name.startswith(STATE))
    ]  # fmt: skip
    return names + [one_line(name) for name in theirs if name not in own]


def digest(trainer: Trainer) -> str:
    """SHA-256 over the names and bytes of all the trainer's state: equal digests mean equal training."""
    total = hashlib.sha256()
    for part in (trainer.state_dict(), trainer.optimizer_state(), trainer.ema.values if trainer.ema else {}):
        for name, value in sorted(part.items()):
            total.update(name.encode())
            total.update(tensor_bytes({name: value.detach().cpu().contiguous()}))
    return total.hexdigest()
