"""The process group: started from what torchrun or any other launcher set, left at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

# Imported once there is a group, its default arguments hold that group; then threads outlive it, and crash at the end.
import torch.distributed.nn.functional
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from i2i_forge.errors import UsageError
from i2i_forge.system.distributed.ranks import LostContactError, RankError, notes_in, together


def launched() -> int:
    """How many processes a launcher started to train together (WORLD_SIZE), 1 without one."""
    return _number("WORLD_SIZE", "1")


@contextmanager
def joined(device: str, timeout: float) -> Iterator[str]:
    """Train together with the other processes that a launcher started; without one nothing happens.

    Inside, a rank that fails tells the others. The CPU side of the group carries what ranks say, NCCL only gradients.

    Args:
        device: as the user wrote it; "auto" and "cuda" become this process's GPU, by LOCAL_RANK.
        timeout: seconds to wait for the others, at the beginning and in every step.

    Yields:
        The name of this process's device.

    Raises:
        UsageError: the launcher's settings do not make sense, or MASTER_PORT is in use.
        RankError: the others do not come, or one of them failed.
    """
    if launched() == 1 or dist.is_initialized():
        yield device
        return
    cuda = torch.cuda.is_available() and not device.startswith("cpu")
    mine = f"cuda:{_number('LOCAL_RANK', '0')}" if cuda and device in ("auto", "cuda") else device
    if cuda:
        torch.cuda.set_device(mine)  # or every rank would hold memory of the first GPU too
    with notes_in(_start("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout)):
        in_order = True
        try:
            with together():
                yield mine
        except (LostContactError, KeyboardInterrupt):
            in_order = not cuda  # NCCL would wait for the others
            raise
        finally:
            if in_order:
                dist.destroy_process_group()


def _start(backend: str, timeout: float) -> Store:
    """Meet the other processes. Returns the store that they share."""
    limit = timedelta(seconds=timeout)
    try:
        met, mine, ranks = next(rendezvous("env://", timeout=limit))
        met.set_timeout(limit)
        # torchrun may keep its store when it restarts the ranks: what the last attempt left there is not for this one
        store = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", met)
        dist.init_process_group(backend, store=store, rank=mine, world_size=ranks, timeout=limit)
        return store
    except ValueError as error:  # a variable is missing
        raise UsageError(f"this process cannot join the others: {error}", fix=_LAUNCH) from error
    except RuntimeError as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        if "EADDRINUSE" in str(error):
            raise UsageError(
                f"MASTER_PORT {os.environ['MASTER_PORT']} is in use by another program on this machine",
                fix="give all ranks another one; torchrun: --master-port PORT, or --standalone to let it choose",
            ) from error
        raise RankError(
            f"the {launched()} ranks did not come together at {place} (run.rank_timeout is {timeout:g} s)",
            fix="see that all of them were started, with the same MASTER_ADDR and MASTER_PORT, and none failed before",
        ) from error


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not text.isdecimal():
        raise UsageError(f"{name} is '{text}', it should be a whole number", fix=_LAUNCH)
    return int(text)


_LAUNCH = "start it with torchrun, or set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT"
