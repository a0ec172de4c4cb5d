"""Training on several ranks by hand: they agree on every decision, and average their gradients.

A rank talks to the others in three ways only, always in the same order on all: a roll call, an exchange of small
objects, and one flat sum of the gradients. Each begins with a roll call, so that a rank that fails anywhere can tell
the others at the next one, whichever that is.
"""

from i2i_forge.system.distributed.group import joined, launched
from i2i_forge.system.distributed.parameters import average_gradients, check_in_step
from i2i_forge.system.distributed.ranks import (
    RankError,
    Wishes,
    everyone,
    part,
    rank,
    roll_call,
    share,
    together,
    world_size,
)  # fmt: skip

__all__ = [
    "RankError", "Wishes", "average_gradients", "check_in_step", "everyone", "joined", "launched", "part", "rank",
    "roll_call", "share", "together", "world_size",
]  # fmt: skip
