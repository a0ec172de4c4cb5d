"""Who we are among the ranks, and what is said when another one is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from i2i_forge.errors import ForgeError

GRACE = 3.0  # seconds for the others to notice a loss too, so that those that do not can be named
_stores: list[Store] = []  # where ranks leave notes when they cannot reach each other; of the group we began


def rank() -> int:
    """This process's number, 0 without torchrun."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together, 1 without torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class RankError(ForgeError):
    """Another rank failed or is gone.

    Attributes:
        told: another rank says so already.
    """

    def __init__(self, message: str, *, fix: str = "", exit_code: int = 1, told: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.exit_code, self.told = exit_code, told


class LostContactError(RankError):
    """Another rank died, hangs, or cannot be reached."""


@contextmanager
def in_contact() -> Iterator[None]:
    """Around everything that waits for the other ranks. Raises LostContactError when one does not answer."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):  # of this rank's own device
        raise
    except RuntimeError as error:
        timed_out = "timed out" in str(error).lower()
        raise _lost(timed_out) from error


@contextmanager
def notes_in(store: Store) -> Iterator[None]:
    """Ranks that lose contact inside leave notes in this store."""
    _stores.append(store)
    try:
        yield
    finally:
        _stores.remove(store)


def _lost(timed_out: bool) -> LostContactError:
    silent, told = _compared()
    who = f"rank {', '.join(map(str, silent))}" if silent else "another rank"
    why = "did not answer in time (run.rank_timeout)" if timed_out else "is gone"
    return LostContactError(
        f"{who} {why}; rank {rank()} and all others stop",
        fix="see what that rank printed last; the same command again goes on from the last checkpoint",
        told=told,
    )


def _compared() -> tuple[list[int], bool]:
    """The ranks that have not noticed the loss, and whether another one that has tells it."""
    if not _stores:
        return [], False
    store, others = _stores[-1], [r for r in range(world_size()) if r != rank()]
    try:
        store.set(f"lost contact/{rank()}", "")
        told = store.add("lost contact/told", 1) > 1
        until = time.monotonic() + GRACE
        while (silent := [r for r in others if not store.check([f"lost contact/{r}"])]) and time.monotonic() < until:
            time.sleep(0.05)
        return silent, told
    except RuntimeError:  # the store went with the rank that keeps it
        return [0], False
