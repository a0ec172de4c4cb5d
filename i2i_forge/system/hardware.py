"""What the numbers of a run were computed by."""

from __future__ import annotations

import os

import torch


def hardware(device: torch.device) -> str:
    """The GPU, or the processor's vector instructions and the number of threads: what the last bits depend on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def memory() -> int:
    """Bytes of this machine's main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
