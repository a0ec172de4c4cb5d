"""Discriminators with affine instance norm: one judges whole images, one patches (Almahairi et al. 2018)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import UsageError
from i2i_forge.nn import AffineInstanceNorm, initialize

SMALLEST = 49  # four halvings, rounded up, leave the four pixels that the last convolution takes


class WholeImageDiscriminator(nn.Module):
    """Strided 3x3 convolutions down to one logit for a 64x64 image; larger images have a map of logits.

    Args:
        width: channels of the first convolution.
        channels: of the image.
        init: kaiming, gaussian, xavier, orthogonal, default.
        gain: of the initialisation; the standard deviation of gaussian.
    """

    def __init__(self, width: int = 32, channels: int = 3, init: str = "gaussian", gain: float = 0.02) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.Sequential(*_layers(widths, 3, (2, 2, 2, 2)), nn.Conv2d(4 * width, 1, 4))
        initialize(self, init, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """N,channels,H,W in [-1, 1], sides of at least 49 -> logits N,1,h,w with h = ceil(H/16) - 3."""
        if min(x.shape[2:]) < SMALLEST:
            raise UsageError(
                f"whole_image needs sides of at least {SMALLEST} pixels, not {tuple(x.shape[2:])}",
                fix="use larger images, or affine_patch",
            )
        return self.layers(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations after each block but the last."""
        return _activations(self.layers, x)


class AffinePatchDiscriminator(nn.Module):
    """Two strided and two plain 4x4 convolutions, then a logit for each patch: 13x13 of them for a 64x64 image.

    Args:
        width: channels of the first convolution.
        channels: of the image.
        init: kaiming, gaussian, xavier, orthogonal, default.
        gain: of the initialisation; the standard deviation of gaussian.
    """

    def __init__(self, width: int = 64, channels: int = 3, init: str = "gaussian", gain: float = 0.02) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.Sequential(*_layers(widths, 4, (2, 2, 1, 1)), nn.Conv2d(4 * width, 1, 4, 1, 1))
        initialize(self, init, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """N,channels,H,W in [-1, 1] -> logits N,1,h,w with h = H//4 - 3."""
        return self.layers(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations after each block but the last."""
        return _activations(self.layers, x)


def _layers(widths: tuple[int, ...], kernel: int, strides: tuple[int, ...]) -> list[nn.Module]:
    """convolution -> affine instance norm (not the first) -> leaky relu, for each stride."""
    layers: list[nn.Module] = []
    for (i, o), stride in zip(pairwise(widths), strides, strict=True):
        norm = [AffineInstanceNorm(o)] if layers else []
        layers += [nn.Conv2d(i, o, kernel, stride, 1), *norm, nn.LeakyReLU(0.2, inplace=True)]
    return layers


def _activations(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    found = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            found.append(x)
    return found


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.discriminators.add("whole_image", WholeImageDiscriminator)
    catalog.discriminators.add("affine_patch", AffinePatchDiscriminator)
