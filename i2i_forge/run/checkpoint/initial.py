"""Beginning a run with the weights of another: a run's, a checkpoint's, or another program's files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i_forge.catalog.registry import Registry
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import CheckpointError, ForgeError, UsageError
from i2i_forge.run.checkpoint.folders import MANIFEST, Checkpoint
from i2i_forge.run.checkpoint.reading import newest, read
from i2i_forge.run.checkpoint.restoring import STATE, differing
from i2i_forge.run.foreign import Format, by_part, read_files


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
    found, origin = _weights(formats, sources, own, warn)
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
    if "sha256" in origin and (bad := differing(held, wanted)):  # other programs' files were compared when read
        raise CheckpointError(
            f"{_listed(sources)}: {len(bad)} tensors differ from those of the recipe's networks: {', '.join(bad[:5])}",
            fix="give the networks of the recipe the options of that run's resolved.yaml",
        )
    trainer.load_state_dict(trainer.state_dict() | held)
    if fresh := [name for name in names if name not in given]:
        warn(f"{_listed(sources)} holds no {', '.join(fresh)}: freshly drawn")
    return {"from": [str(source) for source in sources], **origin}


def _weights(
    formats: Registry[Any], sources: Sequence[str | Path], own: dict[str, Tensor], warn: Callable[[str], None]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors under our names, and what identifies them."""
    if any(Path(source).is_dir() for source in sources):
        if len(sources) > 1:
            raise UsageError(f"{_listed(sources)}: one run is enough", fix="give one folder, or files")
        checkpoint = _ours(Path(sources[0]), warn)
        return checkpoint.model, {"sha256": checkpoint.model_sha256}
    return _foreign(sources, formats, own)


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
        except UsageError as error:
            problems[layout] = error
        except CheckpointError as error:
            if parts:  # otherwise they are not of this layout
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


def _ours(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    if (folder / MANIFEST).exists():
        return read(folder)
    found = newest(folder / "checkpoints", warn)
    if found is None:
        raise CheckpointError(
            f"{folder} is neither a run with a checkpoint nor a checkpoint", fix="give a folder that `forge train` made"
        )
    return found


def _listed(sources: Sequence[str | Path]) -> str:
    return ", ".join(map(str, sources))
