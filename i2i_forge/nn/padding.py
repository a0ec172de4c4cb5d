"""Padding of height and width whose backward repeats bit for bit on CUDA too."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PADDINGS = ("reflect", "replicate", "zero")


class Pad(nn.Module):
    """Pad height and width by `size` pixels on every side.

    On CUDA torch's own backward adds what falls on one pixel in no fixed order. Along one axis at a time no more than
    two numbers do, and their sum has no order.

    Args:
        size: pixels on each side; reflection needs images larger than that.
        mode: reflect, replicate or zero.
    """

    def __init__(self, size: int, mode: str = "reflect") -> None:
        super().__init__()
        if mode not in PADDINGS:
            raise ValueError(f"padding '{mode}' is not one of {', '.join(PADDINGS)}")
        self.size, self.mode = size, mode

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H+2*size,W+2*size."""
        if self.size == 0:
            return x
        if self.mode == "zero":
            return F.pad(x, [self.size] * 4)
        if _repeats(x):
            return F.pad(x, [self.size] * 4, mode=self.mode)
        if not self._adds_pairs(min(x.shape[2:])):
            return self.along(self.along(x, 2), 3)
        if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return cast(Tensor, _Padded.apply(x, self.size, self.mode, 2))
        return cast(Tensor, _Padded.apply(x.permute(0, 2, 3, 1), self.size, self.mode, 3)).permute(0, 3, 1, 2)

    def along(self, x: Tensor, dim: int) -> Tensor:
        """Height (dim 2) or width (dim 3) padded alone, by reflection or replication."""
        size, length = self.size, x.shape[dim]
        if _repeats(x) or self._adds_pairs(length):
            return F.pad(x, [0, 0, size, size] if dim == 2 else [size, size, 0, 0], mode=self.mode)
        if self.mode == "replicate":
            first = x.narrow(dim, 0, 1).expand([size if d == dim else -1 for d in range(4)])
            last = x.narrow(dim, length - 1, 1).expand([size if d == dim else -1 for d in range(4)])
        else:
            if size >= length:
                raise ValueError(f"reflection padding of {size} needs more than {size} pixels, here are {length}")
            first = x.narrow(dim, 1, size).flip(dim)
            last = x.narrow(dim, length - 1 - size, size).flip(dim)
        return torch.cat([first, x, last], dim)

    def _adds_pairs(self, length: int) -> bool:
        """Whether torch's backward along an axis adds no more than two numbers for a pixel, and may run."""
        pairs = length > 2 * self.size + 1 and (self.mode == "reflect" or self.size == 1)
        return pairs and not torch.are_deterministic_algorithms_enabled()  # they refuse it whatever it adds

    def extra_repr(self) -> str:
        """Shown by print(module)."""
        return f"{self.size}, {self.mode}"


def _repeats(x: Tensor) -> bool:
    """Whether torch's own backward has one order: compiled, it gathers."""
    return not x.is_cuda or torch.compiler.is_compiling()


class _Padded(torch.autograd.Function):
    """torch's padding of both axes at once, with a backward along one after the other; the channels may lie last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, mode: str, axes: int) -> Tensor:
        """`axes`: 2 for N,C,H,W; 3 for N,H,W,C, whose channels stay as they are."""
        kind = {"reflect": "reflection", "replicate": "replication"}[mode]
        ctx.size, ctx.channels = size, [0, 0] * (axes - 2)
        ctx.undo = getattr(torch.ops.aten, f"{kind}_pad{axes}d_backward")
        return F.pad(x, [*ctx.channels, *[size] * 4], mode=mode)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of x, differentiable too."""
        for dim, pads in ((1, [0, 0, *[ctx.size] * 2]), (2, [*[ctx.size] * 2, 0, 0])):
            dim += not ctx.channels
            inner = grad.detach().narrow(dim, ctx.size, grad.shape[dim] - 2 * ctx.size)  # for its size alone
            grad = ctx.undo(grad, inner, [*ctx.channels, *pads])
        return grad, None, None, None
