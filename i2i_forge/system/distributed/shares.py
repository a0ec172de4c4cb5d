"""Which part of the global batch the networks see now: each rank has a share, and may take it in several parts.

A part of a rank's share is to noise, dropout and losses what a share of its own would be: two ranks, and one process
that takes its images in two parts, draw the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from i2i_forge.system.distributed.contact import rank, world_size

_part: ContextVar[tuple[int, int]] = ContextVar("part", default=(0, 1))


def share() -> tuple[int, int]:
    """(which, of how many) of the equal shares of the global batch, in its order."""
    number, count = _part.get()
    return rank() * count + number, world_size() * count


@contextmanager
def part(number: int, count: int) -> Iterator[None]:
    """Inside, the networks see one of `count` equal parts of this rank's images."""
    token = _part.set((number, count))
    try:
        yield
    finally:
        _part.reset(token)
