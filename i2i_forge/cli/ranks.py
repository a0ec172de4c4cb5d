"""A command that several processes run together."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from i2i_forge.errors import UsageError


def start_ranks(count: int, device: str) -> NoReturn:
    """Become torchrun, which runs this very command in `count` processes; they find WORLD_SIZE, and do the work.

    Raises:
        UsageError: this machine has fewer GPUs, and --device is not cpu.
    """
    import torch

    if not device.startswith("cpu") and torch.cuda.device_count() < count:
        raise UsageError(
            f"--gpus {count}: this machine has {torch.cuda.device_count()}",
            fix="ask for at most that many, or train without a GPU in as many processes: add --device cpu",
        )
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m", "--", "i2i_forge"]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *launch, *sys.argv[1:]])


@contextmanager
def joined(device: str, timeout: float) -> Iterator[str]:
    """Run this part of a command together with the processes that torchrun started, if it did.

    What one of them says is not repeated by the others: they only end, with its exit code.

    Args:
        device: of the user's --device.
        timeout: seconds to wait for the others.

    Yields:
        The name of this process's device.
    """
    if "WORLD_SIZE" in os.environ:  # what is wrong between ranks is said once, by us, without frames of C++
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from i2i_forge.system import distributed

    try:
        with distributed.joined(device, timeout) as mine:
            yield mine
    except distributed.RankError as error:
        if not error.told:
            raise
        click.get_current_context().exit(error.exit_code)
