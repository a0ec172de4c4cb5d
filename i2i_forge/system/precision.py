"""Number formats, what runs in bfloat16 and what stays in fp32 whatever the recipe says; and the order of sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Matrix products and convolutions in bfloat16 for precision "bf16"; everything as it is for "fp32"."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def full(value: Any) -> Any:
    """Tensors (and lists of them) in at least fp32: what losses are computed in."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, list | tuple):
        return type(value)(full(item) for item in value)
    return value


@contextmanager
def float32_by_default() -> Iterator[None]:
    """torch's default dtype is float32 inside, whatever `torch.set_default_dtype` says around it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def convolutions(deterministic: bool) -> Iterator[None]:
    """Inside, cuDNN takes algorithms whose sums have one order, or else those that it finds fastest for the sizes."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def slow_here(device: torch.device, precision: str) -> bool:
    """Whether bfloat16 would be emulated: many times slower than fp32. GPUs have it since Ampere."""
    if precision != "bf16":
        return False
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
