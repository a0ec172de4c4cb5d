"""Who we are among the ranks, our share of the batch, and what the ranks say to each other.

Which part of the global batch the networks see: each rank has a share, and may take it in several parts. A part is to
noise, dropout and losses what a share of its own would be: two ranks, and one process that takes its images in two
parts, draw the same.

In the roll call every rank says whether it is well and what it wishes, and all hear the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from i2i_forge.errors import ForgeError

T = TypeVar("T")
GRACE = 3.0  # seconds for the others to notice a loss too, so that those that do not can be named
_stores: list[Store] = []  # where ranks leave notes when they cannot reach each other; of the group we began
_part: ContextVar[tuple[int, int]] = ContextVar("part", default=(0, 1))


def rank() -> int:
    """This process's number, 0 without torchrun."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together, 1 without torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


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


@dataclass(frozen=True)
class Wishes:
    """What at least one rank wishes.

    Attributes:
        stop: the signal that asked to stop, 0 for none.
        asked: the rank that got it.
        save: a checkpoint is due by the clock.
    """

    stop: int = 0
    asked: int = 0
    save: bool = False


def roll_call(*, stop: int = 0, save: bool = False) -> Wishes:
    """Say that we are well, and what we wish; hear what all wish: an `all_reduce` of a few numbers.

    Raises:
        RankError: another rank failed.
    """
    if world_size() == 1:
        return Wishes(stop, 0, save)
    rows = _heard(failed=False, stop=stop, save=save)
    if any(failed for failed, *_ in rows):
        raise _failure(_summaries(None))
    stops = {r: row[1] for r, row in enumerate(rows) if row[1]}
    asked = min(stops, default=0)
    return Wishes(stops.get(asked, 0), asked, any(row[2] for row in rows))


def everyone(value: T) -> list[T]:
    """What every rank gave, by rank: an `all_gather` of any object. Raises RankError when another rank failed."""
    roll_call()
    return _exchanged(value)


@contextmanager
def together() -> Iterator[None]:
    """A rank that fails inside tells the others: they stop as well, at their next roll call, and one of those that
    failed reports. Nobody leaves while another may still fail."""
    try:
        yield
        roll_call()
    except RankError:
        raise
    except Exception as error:
        if world_size() > 1:
            _tell(error)
        raise


def _tell(error: Exception) -> None:
    """Raises RankError when another rank that failed reports."""
    try:
        _heard(failed=True)
        summaries = _summaries(error)
    except LostContactError:
        return  # our own failure says more
    if rank() != min(summaries):
        raise _failure(summaries) from error


def _heard(*, failed: bool, stop: int = 0, save: bool = False) -> list[list[int]]:
    rows = torch.zeros(world_size(), 3, dtype=torch.int64)
    rows[rank()] = torch.tensor([failed, stop, save])
    with in_contact():
        dist.all_reduce(rows)
    return rows.tolist()


def _summaries(error: Exception | None) -> dict[int, tuple[str, str, int]]:
    """Message, fix and exit code of each rank that failed."""
    mine = None
    if error is not None:
        text = error.message if isinstance(error, ForgeError) else f"{type(error).__name__}: {error}".splitlines()[0]
        mine = text, getattr(error, "fix", ""), getattr(error, "exit_code", 1)
    return {r: summary for r, summary in enumerate(_exchanged(mine)) if summary is not None}


def _failure(summaries: dict[int, tuple[str, str, int]]) -> RankError:
    first = min(summaries)
    message, fix, exit_code = summaries[first]
    return RankError(f"rank {first} failed: {message}", fix=fix, exit_code=exit_code, told=True)


def _exchanged(value: Any) -> list[Any]:
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    with in_contact():
        dist.all_gather_object(found, value)
    return found
