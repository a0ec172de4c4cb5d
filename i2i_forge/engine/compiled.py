"""Networks compiled by torch: fewer kernels and passes over memory, the same numbers but for rounding."""

from __future__ import annotations

import torch
from torch import nn


def compiled(network: nn.Module, backend: str = "inductor") -> None:
    """Let torch compile a network when it first runs, and anew for what it has not seen yet: a size, a frozen part.

    Args:
        network: its parameters and their names stay as they are.
        backend: of torch.compile.
    """
    torch._inductor.config.fallback_random = True  # dropout draws what it draws without
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)  # networks of a class share it
    network.compile(backend=backend)
