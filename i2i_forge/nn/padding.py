"""Padding whose backward is deterministic on every device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MODES = ("reflect", "replicate", "zero")


class Pad(nn.Module):
    """Pad height and width by `size` pixels on every side.

    On CUDA torch's own reflection and replication have no deterministic backward; there they are made of slices and
    concatenations, whose forward is the same to the bit.

    Args:
        size: pixels on each side; reflection needs images larger than that.
        mode: reflect, replicate or zero.
    """

    def __init__(self, size: int, mode: str = "reflect") -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"padding '{mode}' is not one of {', '.join(MODES)}")
        self.size, self.mode = size, mode

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H+2*size,W+2*size."""
        if self.size == 0:
            return x
        if self.mode == "zero":
            return F.pad(x, [self.size] * 4)
        if not x.is_cuda:
            return F.pad(x, [self.size] * 4, mode=self.mode)
        return self._along(self._along(x, 2), 3)

    def _along(self, x: Tensor, dim: int) -> Tensor:
        size, length = self.size, x.shape[dim]
        if self.mode == "replicate":
            first = x.narrow(dim, 0, 1).expand([size if d == dim else -1 for d in range(4)])
            last = x.narrow(dim, length - 1, 1).expand([size if d == dim else -1 for d in range(4)])
        else:
            if size >= length:
                raise ValueError(f"reflection padding of {size} needs more than {size} pixels, here are {length}")
            first = x.narrow(dim, 1, size).flip(dim)
            last = x.narrow(dim, length - 1 - size, size).flip(dim)
        return torch.cat([first, x, last], dim)

    def extra_repr(self) -> str:
        """Shown by print(module)."""
        return f"{self.size}, {self.mode}"
