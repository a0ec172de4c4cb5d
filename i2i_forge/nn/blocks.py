"""Convolution, linear and residual blocks: pad -> convolution (with bias) -> norm -> activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge.nn.norms import adain, norm_layer

PADDINGS = ("reflect", "replicate", "zero")
ACTIVATIONS: dict[str, Callable[[], nn.Module | None]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "lrelu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "prelu": nn.PReLU,
    "selu": partial(nn.SELU, inplace=True),
    "tanh": nn.Tanh,
    "none": lambda: None,
}


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
        if mode not in PADDINGS:
            raise ValueError(f"padding '{mode}' is not one of {', '.join(PADDINGS)}")
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


def activation_layer(name: str) -> nn.Module | None:
    """The layer called `name`: relu, lrelu (slope 0.2), prelu, selu, tanh, none."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation '{name}' is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class ConvBlock(nn.Module):
    """pad -> convolution -> norm -> activation.

    Args:
        inputs, outputs: channels.
        kernel, stride, pad: of the convolution, in pixels.
        norm: none, instance, layer, batch, spectral, or adain (then `forward` takes the affine map).
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, pad: int = 0, *,
        norm: str = "none", activation: str = "relu", padding: str = "reflect",
    ) -> None:  # fmt: skip
        super().__init__()
        zero = padding == "zero"  # the convolution does that itself, without a copy
        self.pad = Pad(0 if zero else pad, padding)
        self.adaptive = norm == "adain"
        self.norm = None if self.adaptive else norm_layer(norm, outputs)
        self.activation = activation_layer(activation)
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=pad if zero else 0)
        self.conv = spectral_norm(convolution) if norm == "spectral" else convolution

    def forward(self, x: Tensor, affine: Tensor | None = None) -> Tensor:
        """N,C,H,W -> N,C',H',W'. `affine`: N,2C' for norm adain."""
        return self.finish(self.conv(self.pad(x)), affine)

    def finish(self, x: Tensor, affine: Tensor | None = None) -> Tensor:
        """What comes after the convolution: norm and activation."""
        if self.adaptive:
            assert affine is not None, "norm adain needs its affine map"
            x = adain(x, affine)
        elif self.norm is not None:
            x = self.norm(x)
        return x if self.activation is None else self.activation(x)


class DoubledConvBlock(ConvBlock):
    """Nearest-neighbour doubling -> 5x5 convolution -> norm -> activation.

    In the doubled image neighbours are equal in pairs. So each of the four kinds of its pixels (even and odd rows and
    columns) is a 3x3 convolution of the small image, whose filters are sums of the 5x5 filter's taps: 9 products in
    place of 25, and no large image in memory. Equal to doubling first, up to the rounding of those sums.

    Args:
        inputs, outputs: channels.
        norm, activation, padding: as for ConvBlock.
    """

    def __init__(
        self, inputs: int, outputs: int, *, norm: str = "none", activation: str = "relu", padding: str = "reflect"
    ) -> None:
        super().__init__(inputs, outputs, 5, 1, 2, norm=norm, activation=activation, padding=padding)
        self.padding = padding

    def forward(self, x: Tensor, affine: Tensor | None = None) -> Tensor:
        """N,C,H,W -> N,C',2H,2W. `affine`: N,2C' for norm adain."""
        return self.finish(self._convolved(x), affine)

    def _convolved(self, x: Tensor) -> Tensor:
        weight, bias = cast(Tensor, self.conv.weight), cast(Tensor, self.conv.bias)  # spectral norm hides their types
        around = Pad(1, "zero" if self.padding == "zero" else "replicate")(x)
        four = F.conv2d(around, _of_pixel_kinds(weight), bias.repeat_interleave(4))
        y = F.pixel_shuffle(four, 2)
        return y if self.padding != "reflect" else self._with_reflected_edges(x, y, weight, bias)

    def _with_reflected_edges(self, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The outermost pixels see the second reflected row or column, which is not equal to its neighbour."""

        def edge(part: Tensor, rows: slice, columns: slice) -> Tensor:
            doubled = self.pad(F.interpolate(part, scale_factor=2, mode="nearest"))
            return F.conv2d(doubled[:, :, rows, columns], weight, bias)

        first, last, every = slice(5), slice(-5, None), slice(None)
        top, bottom = edge(x[:, :, :2], first, every), edge(x[:, :, -2:], last, every)
        left, right = edge(x[..., :2], every, first), edge(x[..., -2:], every, last)
        middle = torch.cat([left[:, :, 1:-1], y[:, :, 1:-1, 1:-1], right[:, :, 1:-1]], dim=3)
        return torch.cat([top, middle, bottom], dim=2)


def _of_pixel_kinds(weight: Tensor) -> Tensor:
    """O,I,5,5 -> 4*O,I,3,3: the filters of even rows and columns, even rows and odd columns, and so on."""
    kinds = [_paired(_paired(weight, row, 2), column, 3) for row in (0, 1) for column in (0, 1)]
    return torch.stack(kinds, dim=1).flatten(0, 1)


def _paired(weight: Tensor, odd: int, dim: int) -> Tensor:
    """Sums of the taps that fall on one pixel: 2+2+1 of them for even places, 1+2+2 for odd ones."""
    return torch.stack([part.sum(dim) for part in torch.split(weight, [1, 2, 2] if odd else [2, 2, 1], dim)], dim)


class ResidualBlock(nn.Module):
    """x + block(block(x)), 3x3; no activation after the second block nor after the sum."""

    def __init__(self, channels: int, *, norm: str, activation: str, padding: str) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, 3, 1, 1, norm=norm, activation=activation, padding=padding)
        self.second = ConvBlock(channels, channels, 3, 1, 1, norm=norm, activation="none", padding=padding)

    def forward(self, x: Tensor, affine: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """N,C,H,W -> N,C,H,W. `affine`: the maps of the two blocks, for norm adain."""
        one, two = affine or (None, None)
        change: Tensor = self.second(self.first(x, one), two)
        return x + change


class LinearBlock(nn.Module):
    """linear map -> norm -> activation.

    Args:
        inputs, outputs: lengths of the vectors.
        norm: none, layer, batch, spectral.
        activation: relu, lrelu, prelu, selu, tanh, none.
    """

    def __init__(self, inputs: int, outputs: int, *, norm: str = "none", activation: str = "relu") -> None:
        super().__init__()
        self.norm = norm_layer(norm, outputs, dims=0)
        self.activation = activation_layer(activation)
        linear = nn.Linear(inputs, outputs)
        self.linear = spectral_norm(linear) if norm == "spectral" else linear

    def forward(self, x: Tensor) -> Tensor:
        """N,inputs -> N,outputs."""
        x = self.linear(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)
