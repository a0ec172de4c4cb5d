"""Putting a checkpoint into a trainer: all of it, or its weights alone for a run to begin with; comparing trainers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save as tensor_bytes
from torch import Tensor

from i2i_forge.catalog.registry import Registry
from i2i_forge.data.space import ImageSpace
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import CheckpointError, ForgeError, UsageError
from i2i_forge.run.checkpoint.reading import MANIFEST, Checkpoint, newest, read
from i2i_forge.run.checkpoint.spaces import differing_spaces, stored
from i2i_forge.run.foreign import Format, by_part, read_files
from i2i_forge.system import distributed
from i2i_forge.system.files import one_line

STATE = "state."  # what a run remembers, not weights; a pool's size changes as it is used
_FIX = "use the recipe it was trained with (resolved.yaml beside it)"


def restore(checkpoint: Checkpoint, trainer: Trainer, *, optimizers: bool = True) -> None:
    """Put a checkpoint into a trainer, which takes over the optimizers' tensors: read it again to restore it again.

    Raises CheckpointError when it is of other networks, or of other images.
    """
    model = checkpoint.model
    if 0 < (rank := distributed.rank()) <= len(checkpoint.other_ranks):
        model = model | dict(checkpoint.other_ranks[rank - 1])
    name = f"checkpoint {checkpoint.folder.name}"
    if others := differing_spaces(stored(checkpoint.state), trainer.spaces):
        raise CheckpointError(
            f"{name} is of other images: {'; '.join(others)}",
            fix=f"{_FIX}; of `domains` only `display` and `write` may change",
        )
    _refuse_other(model, trainer.state_dict(), f"{name} is of other networks",
                  f"{_FIX}, or begin a new run with its weights: forge train --init-from")  # fmt: skip
    trainer.load_state_dict(model)
    if trainer.ema and checkpoint.ema:  # without any the averages begin here
        averages = f"{name} has averages of other weights"
        _refuse_other(checkpoint.ema, trainer.ema.values, averages, f"{_FIX}; ema.roles there says which")
        trainer.ema.load(checkpoint.ema)
    if not optimizers:
        return
    try:
        trainer.load_optimizer_state(checkpoint.optimizers)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{name} has a state of other optimizers: {error}", fix=_FIX) from error


def _refuse_other(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor], what: str, fix: str) -> None:
    if names := differing(theirs, own):
        raise CheckpointError(f"{what}; {len(names)} tensors differ: {', '.join(names[:5])}", fix=fix)


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


def initialise(
    trainer: Trainer, sources: Sequence[str | Path], formats: Registry[Any], warn: Callable[[str], None]
) -> dict[str, Any]:
    """Give a fresh trainer the weights of a checkpoint, those of its last step, and nothing else of it.

    Networks that the source lacks stay as they were drawn; those that the trainer lacks are ignored.

    Args:
        trainer: fresh from `build_trainer`.
        sources: a run's folder, one of its checkpoints, or another program's files, each as FILE or PART=FILE.
        formats: the catalog's, of other programs' files.
        warn: is told of damaged checkpoints and of networks without weights.

    Returns:
        Where the weights come from, for the record: {"from": [...], "sha256" or "format": ...}.

    Raises:
        CheckpointError: there is nothing to read, or it does not fit the trainer's networks.
        UsageError: two files are of one part of a checkpoint.
    """
    own = {name: value for name, value in trainer.state_dict().items() if not name.startswith(STATE)}
    found, origin, spaces = _weights(formats, sources, own, warn)
    names = [name for name, _ in trainer.modules() if not name.startswith(STATE)]
    given = [name for name in names if any(key.startswith(f"{name}.") for key in found)]
    if not given:
        raise CheckpointError(
            f"{_listed(sources)} holds no network of this recipe (which has {', '.join(names)})",
            fix="give the checkpoint of a run of the same method",
        )
    wanted, held = (
        {key: value for key, value in tensors.items() if key.startswith(tuple(f"{name}." for name in given))}
        for tensors in (own, found)
    )
    if spaces is not None and (bad := differing(held, wanted)):  # other programs' files were compared when read
        channels = "; ".join(["", *differing_spaces(spaces, trainer.spaces, counts=True)])
        raise CheckpointError(
            f"{_listed(sources)}: {len(bad)} tensors differ from those of the recipe's networks: "
            f"{', '.join(bad[:5])}{channels}",
            fix="give the networks of the recipe the options of that run's resolved.yaml",
        )
    for text in differing_spaces(spaces, trainer.spaces) if spaces is not None else ():
        warn(f"{_listed(sources)}: {text}: its weights were learnt with other values")
    trainer.load_state_dict(trainer.state_dict() | held)
    if fresh := [name for name in names if name not in given]:
        warn(f"{_listed(sources)} holds no {', '.join(fresh)}: freshly drawn")
    return {"from": [str(source) for source in sources], **origin}


def _weights(
    formats: Registry[Any], sources: Sequence[str | Path], own: dict[str, Tensor], warn: Callable[[str], None]
) -> tuple[dict[str, Tensor], dict[str, str], dict[str, ImageSpace] | None]:
    """Tensors under our names, what identifies them, and what their images are, None of another program's."""
    if not any(Path(source).is_dir() for source in sources):
        return *_foreign(sources, formats, own), None
    if len(sources) > 1:
        raise UsageError(f"{_listed(sources)}: one run is enough", fix="give one folder, or files")
    folder = Path(sources[0])
    found = read(folder) if (folder / MANIFEST).exists() else newest(folder / "checkpoints", warn)
    if found is None:
        raise CheckpointError(
            f"{folder} is neither a run with a checkpoint nor a checkpoint", fix="give a folder that `forge train` made"
        )
    return found.model, {"sha256": found.model_sha256}, stored(found.state)


def _foreign(
    sources: Sequence[str | Path], formats: Registry[Any], own: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of another program's files, of the first layout that they and the trainer's networks fit."""
    readers: dict[str, Format] = {f"{entry.plugin}:{entry.name}": entry.component() for entry in formats.entries()}
    files = read_files(sources, {part for reader in readers.values() for part in reader.parts})
    problems: dict[str, ForgeError] = {}
    for layout, reader in readers.items():
        parts: dict[str, Any] = {}
        try:
            parts = {part: file.content for part, file in by_part(files, layout, formats).items()}
            return reader.load(parts, own), {"format": layout.rpartition(":")[2]}
        except (CheckpointError, UsageError) as error:
            if parts or isinstance(error, UsageError):  # otherwise they are not of this layout
                problems[layout] = error
    if not problems:
        raise CheckpointError(
            f"{_listed(sources)}: not a checkpoint of any known program",
            fix="`forge plugins` lists the formats; a run's folder is a source too",
        )
    first, *others = problems.values()
    if others:
        texts = [f"as {layout.rpartition(':')[2]}: {error.message}" for layout, error in problems.items()]
        raise type(first)("\n".join([f"{_listed(sources)} cannot be used", *texts[:3]]), fix=first.fix)
    raise first


def _listed(sources: Sequence[str | Path]) -> str:
    return ", ".join(map(str, sources))
