"""Checkpoints of older formats, made into those of the newest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from i2i_forge.run.checkpoint.folders import FORMAT_VERSION, Checkpoint

Migration = Callable[[Checkpoint], Checkpoint]

# format -> what makes a checkpoint of the next format of it; a format that was ever released stays here for good,
# with a frozen checkpoint in tests/run/fixtures/
MIGRATIONS: dict[int, Migration] = {}


def migrated(
    checkpoint: Checkpoint, migrations: Mapping[int, Migration] = MIGRATIONS, newest: int = FORMAT_VERSION
) -> Checkpoint:
    """The checkpoint as the newest format has it. Raises ValueError when there is no way from its format."""
    for version in range(checkpoint.format, newest):
        if version not in migrations:
            raise ValueError(f"there is no format {version}")
        checkpoint = migrations[version](checkpoint)
    return replace(checkpoint, state={**checkpoint.state, "format": newest})
