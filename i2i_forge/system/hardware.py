"""What computes the numbers of a run, and its memory, said so that it helps when that ran out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from i2i_forge.errors import ResourceError

SIZE = r"([\d.]+ [KMGT]i?B)"


def hardware(device: torch.device) -> str:
    """The GPU, or the processor's vector instructions and the number of threads: what the last bits depend on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def memory() -> int:
    """Bytes of this machine's main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def memory_watched(device: torch.device, step: int) -> Iterator[None]:
    """Around a step. Raises ResourceError, with what was asked for and in use if torch says so."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if (sizes := ran_out(error)) is None:
            raise
        raise ResourceError(
            f"out of memory on {device} at step {step}{sizes}; nothing of the step was saved",
            fix="set run.micro_batch, name roles in run.recompute, use --precision bf16, or lower data.size; the same "
            "command goes on from the last checkpoint",
        ) from error


def ran_out(error: BaseException) -> str | None:
    """What was asked for and in use, as far as it is known, if memory ran out; None for any other error."""
    text = str(error)
    on_cpu = "DefaultCPUAllocator" in text  # which raises a plain RuntimeError
    if not (on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)):
        return None
    asked = re.search(rf"[Tt]ried to allocate (?:{SIZE}|(\d+) bytes)", text)
    used = re.search(rf"{SIZE} memory in use|{SIZE} is allocated by PyTorch", text)
    parts = [f"it asked for {asked[1] or f'{int(asked[2]) / 2**30:.2f} GiB'}"] if asked else []
    parts += [f"{used[1] or used[2]} were in use"] if used else []
    return f": {', '.join(parts)}" if parts else ""
