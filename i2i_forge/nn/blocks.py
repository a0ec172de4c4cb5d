"""Convolution, linear and residual blocks: pad -> convolution (with bias) -> norm -> activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge.nn.norms import adain, norm_layer
from i2i_forge.nn.padding import Pad

ACTIVATIONS: dict[str, Callable[[], nn.Module | None]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "lrelu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "prelu": nn.PReLU,
    "selu": partial(nn.SELU, inplace=True),
    "tanh": nn.Tanh,
    "none": lambda: None,
}


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
