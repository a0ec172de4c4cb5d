"""What is said when a loss or a gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from i2i_forge.errors import DivergedError


class NotFiniteError(DivergedError):
    """A phase was not updated: one of its losses or gradients is not finite.

    Args:
        step: the number of steps done before this one.
        phase: whose turn it was.
        found: by rank, what is not finite there.
        losses: by rank, the phase's unweighted losses by name.

    Attributes:
        step: as given.
        ranks: those where something is not finite; all of them if it is only the norm of the mean gradient.
        record: all of this as JSON.
    """

    def __init__(
        self, step: int, phase: str, found: Sequence[Sequence[str]], losses: Sequence[Mapping[str, float]]
    ) -> None:
        self.step = step
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
