"""The roll call: every rank says whether it is well and what it wishes, and all hear the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from i2i_forge.errors import ForgeError
from i2i_forge.system.distributed.contact import LostContactError, RankError, in_contact, rank, world_size

T = TypeVar("T")


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
    """Say that we are well, and what we wish; hear what all wish. Raises RankError when another rank failed."""
    if world_size() == 1:
        return Wishes(stop, 0, save)
    rows = _heard(failed=False, stop=stop, save=save)
    if any(failed for failed, *_ in rows):
        raise _failure(_summaries(None))
    stops = {r: row[1] for r, row in enumerate(rows) if row[1]}
    asked = min(stops, default=0)
    return Wishes(stops.get(asked, 0), asked, any(row[2] for row in rows))


def everyone(value: T) -> list[T]:
    """What every rank gave, by rank. Raises RankError when another rank failed."""
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
