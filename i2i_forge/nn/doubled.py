"""A 5x5 convolution of the doubled image, made of 3x3 ones of the small image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge.nn.blocks import ConvBlock
from i2i_forge.nn.padding import Pad
from i2i_forge.system.precision import autocast


class DoubledConvBlock(ConvBlock):
    """Nearest-neighbour doubling -> 5x5 convolution -> norm -> activation.

    In the doubled image neighbours are equal in pairs. So each of the four kinds of its pixels (even and odd rows and
    columns) is a 3x3 convolution of the small image, whose filters are sums of the 5x5 filter's taps: 9 products in
    place of 25, and no large image in memory. All these sums are one product with a matrix. Equal to doubling first, up
    to their rounding.

    Args:
        inputs, outputs: channels.
        norm, activation, padding: as for ConvBlock.
    """

    def __init__(
        self, inputs: int, outputs: int, *, norm: str = "none", activation: str = "relu", padding: str = "reflect"
    ) -> None:
        super().__init__(inputs, outputs, 5, 1, 2, norm=norm, activation=activation, padding=padding)
        self.padding = padding
        self._sums = _sums_of_taps()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._sums = fn(self._sums)  # moves as the weights do; as a buffer it would be a part of what is trained
        return self

    def forward(self, x: Tensor, affine: Tensor | None = None) -> Tensor:
        """N,C,H,W -> N,C',2H,2W. `affine`: N,2C' for norm adain."""
        return self.finish(self._convolved(x), affine)

    def _convolved(self, x: Tensor) -> Tensor:
        weight, bias = cast(Tensor, self.conv.weight), cast(Tensor, self.conv.bias)  # spectral norm hides their types
        around = Pad(1, "zero" if self.padding == "zero" else "replicate")(x)
        four, rows, columns = _products(weight, self._sums)
        y = F.pixel_shuffle(F.conv2d(around, four, bias.repeat_interleave(4)), 2)
        if self.padding != "reflect":
            return y
        # The outermost pixels see the second reflected row or column, which is not equal to its neighbour.
        (top, bottom), (left, right) = self._edges(x, 2, rows, bias), self._edges(x, 3, columns, bias)
        edges = top, bottom, left[:, :, 1:-1], right[:, :, 1:-1]
        if not torch.compiler.is_compiling():
            return cast(Tensor, _Framed.apply(y, *edges))
        middle = torch.cat([edges[2], y[:, :, 1:-1, 1:-1], edges[3]], dim=3)
        return torch.cat([top, middle, bottom], dim=2)

    def _edges(self, x: Tensor, dim: int, filters: Tensor, bias: Tensor) -> Sequence[Tensor]:
        """The first and last row (dim 2) or column (dim 3): a filter of two rows, and the same of the last two upside
        down."""
        two = torch.cat([x.narrow(dim, 0, 2), x.narrow(dim, x.shape[dim] - 2, 2).flip(dim)])
        wide = F.interpolate(two, scale_factor=(1, 2) if dim == 2 else (2, 1), mode="nearest")
        return torch.split(F.conv2d(self.pad.along(wide, 5 - dim), filters, bias), [x.shape[0]] * 2)


class _Framed(torch.autograd.Function):
    """An image whose first and last row and, between them, first and last column are others; it is changed itself."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """N,C,H,W; N,C,1,W twice; N,C,H-2,1 twice."""
        y[:, :, :1], y[:, :, -1:], y[:, :, 1:-1, :1], y[:, :, 1:-1, -1:] = top, bottom, left, right
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Each part's own, differentiable too."""
        rows = grad[:, :, 1:-1]
        return F.pad(rows[..., 1:-1], [1] * 4), grad[:, :, :1], grad[:, :, -1:], rows[..., :1], rows[..., -1:]


def _products(weight: Tensor, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """O,I,5,5 -> the filters of the four kinds of pixels, 4*O,I,3,3; O,I,2,5 for the outermost rows; O,I,5,2 for the
    outermost columns."""
    outputs, inputs = weight.shape[:2]
    with autocast(weight.device, "fp32"):
        found = (weight.reshape(-1, 25) @ sums).view(outputs, inputs, -1)
    four, rows, columns = torch.split(found, [36, 10, 10], dim=2)
    four = four.view(outputs, inputs, 4, 3, 3).transpose(1, 2).reshape(-1, inputs, 3, 3)
    return four, rows.view(outputs, inputs, 2, 5), columns.view(outputs, inputs, 5, 2)


def _sums_of_taps() -> Tensor:
    """25,56: which taps of a 5x5 filter are added for each tap of the filters that `_products` gives."""
    taps = torch.eye(25).view(25, 5, 5)
    even, odd = (
        [[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]],
        [[1.0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]],
    )
    kinds = torch.tensor([even, odd])  # which taps fall on the pixel before, on the pixel itself, on the next
    edge = torch.tensor([[0.0, 1, 1, 1, 0], [1, 0, 0, 0, 1]])  # outermost row, and the next: that reflected one too
    four = torch.einsum("kpr,lqc,urc->uklpq", kinds, kinds, taps)
    rows, columns = torch.einsum("pr,urc->upc", edge, taps), torch.einsum("qc,urc->urq", edge, taps)
    return torch.cat([part.reshape(25, -1) for part in (four, rows, columns)], dim=1)
