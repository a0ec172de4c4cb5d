"""What is said when a loss or a gradient is not finite, and what is written down to look into it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from i2i_forge.errors import DivergedError
from i2i_forge.system.files import write_whole


class NotFiniteError(DivergedError):
    """A phase was not updated: one of its losses or gradients is not finite.

    Args:
        step: the number of steps done before this one.
        phase: whose turn it was.
        found: by rank, what is not finite there.
        losses: by rank, the phase's unweighted losses by name.

    Attributes:
        ranks: those where something is not finite; all of them if it is only the norm of the mean gradient.
        record: all of this as JSON.
    """

    def __init__(
        self, step: int, phase: str, found: Sequence[Sequence[str]], losses: Sequence[Mapping[str, float]]
    ) -> None:
        self.ranks = [rank for rank, things in enumerate(found) if things] or list(range(len(found)))
        places = [f" on rank {rank}" for rank in range(len(found))] if len(found) > 1 else [""]
        things = [f"{thing}{place}" for place, some in zip(places, found, strict=True) for thing in some]
        things = things or ["the norm of the gradients, which is too large for a number"]
        numbers = {name: v if math.isfinite(v) else str(v) for name, v in losses[self.ranks[0]].items()}
        self.record = {"step": step, "phase": phase, "not_finite": things, "losses": numbers}
        shown = f"{', '.join(things[:6])}{f' and {len(things) - 6} more' if len(things) > 6 else ''}"
        super().__init__(
            f"not finite at step {step}: {shown}; phase '{phase}' was not updated",
            fix="resume from the last checkpoint with a lower learning rate or weight; look at the images of this step",
        )


def write_down(record: Mapping[str, Any], file: Path) -> None:
    """Write a record so that the file is there whole or as it was; a disk that does not take it costs the record."""
    with suppress(OSError):
        write_whole(file, json.dumps(record, indent=2) + "\n")
