"""Encoders of an image into a distribution of codes (Zhu et al. 2017, BicycleGAN, section 4 and appendix).

The features are averaged over the whole image, so that every size works; at 256 pixels (128 with a block less) that is
the published average of 8x8 features.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import as_channels, initialize, norm_layer


class ResidualCodeEncoder(nn.Module):
    """Image -> mean and log variance of its code: residual blocks with average pooling.

    Args:
        width: channels of the first convolution; the blocks make them twice, three times and at most four times that.
        blocks: residual blocks, each halving height and width; published: 4 for 256 pixels, 3 for 128.
        dim: length of the code.
        channels: of the image: 3, or 1 to see it in grey.
        norm: none, instance, layer, batch, spectral.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 4,
        dim: int = 8,
        channels: int = 3,
        norm: str = "instance",
        init: str = "xavier",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.dim, self.channels, self.stride = dim, channels, 2 ** (blocks + 1)
        widths = [width * min(block + 1, 4) for block in range(blocks + 1)]
        self.stem = nn.Conv2d(channels, width, 4, 2, 1)
        self.blocks = nn.Sequential(*(_Block(i, o, norm) for i, o in pairwise(widths)))
        self.mean, self.logvar = nn.Linear(widths[-1], dim), nn.Linear(widths[-1], dim)
        initialize(self, init, init_gain)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """N,3,H,W in [-1, 1] -> N,dim (mean) and N,dim (log variance), unbounded; sides of at least `stride`."""
        x = self.blocks(self.stem(as_channels(x, self.channels)))
        pooled = F.leaky_relu(x, 0.2).mean((2, 3))
        return self.mean(pooled), self.logvar(pooled)


class ConvolutionalCodeEncoder(nn.Module):
    """Image -> mean and log variance of its code: strided convolutions.

    Args:
        width: channels of the first convolution; the next two double them.
        layers: further convolutions, each halving height and width; published: 4 for 256 pixels, 3 for 128.
        dim: length of the code.
        channels: of the image: 3, or 1 to see it in grey.
        norm: none, instance, layer, batch, spectral; never on the first convolution.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 4,
        dim: int = 8,
        channels: int = 3,
        norm: str = "instance",
        init: str = "xavier",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.dim, self.channels, self.stride = dim, channels, 2 ** (layers + 1)
        widths = [width * min(2**layer, 4) for layer in range(layers + 1)]
        self.stem = nn.Conv2d(channels, width, 4, 2, 1)
        self.down = nn.Sequential(*(_Down(i, o, norm) for i, o in pairwise(widths)))
        self.mean, self.logvar = nn.Linear(widths[-1], dim), nn.Linear(widths[-1], dim)
        initialize(self, init, init_gain)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """N,3,H,W in [-1, 1] -> N,dim (mean) and N,dim (log variance), unbounded; sides of at least 2 `stride`."""
        pooled = self.down(F.leaky_relu(self.stem(as_channels(x, self.channels)), 0.2)).mean((2, 3))
        return self.mean(pooled), self.logvar(pooled)


class _Block(nn.Module):
    """pool(second(first(x))) + shortcut(pool(x))."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.first, self.second = _Activated(inputs, inputs, norm), _Activated(inputs, outputs, norm)
        self.shortcut = _convolution(inputs, outputs, norm, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.second(self.first(x)), 2) + self.shortcut(F.avg_pool2d(x, 2))


class _Activated(nn.Module):
    """norm -> leaky ReLU -> convolution 3x3."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.norm = norm_layer(norm, inputs)
        self.conv = _convolution(inputs, outputs, norm, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.norm is None else self.norm(x)
        return self.conv(F.leaky_relu(x, 0.2))


class _Down(nn.Module):
    """convolution 4x4 of stride 2 -> norm -> leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs, norm, 4, 2, 1)
        self.norm = norm_layer(norm, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.leaky_relu(x if self.norm is None else self.norm(x), 0.2)


def _convolution(inputs: int, outputs: int, norm: str, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    return spectral_norm(convolution) if norm == "spectral" else convolution


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("residual_code", ResidualCodeEncoder)
    catalog.encoders.add("convolutional_code", ConvolutionalCodeEncoder)
