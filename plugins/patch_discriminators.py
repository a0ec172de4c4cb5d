"""Discriminators that judge overlapping patches (Isola et al. 2017, section 3.2.2) or single pixels.

Three strided convolutions see 70x70 patches. Zero padding; no norm on the first and the last convolution.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import as_channels, initialize, norm_layer


class PatchDiscriminator(nn.Module):
    """Image, or a pair of images one above the other in the channels -> logits of its patches.

    Args:
        width: channels of the first convolution; each layer doubles them, up to eightfold.
        layers: strided convolutions; the patches are 16, 34, 70, 142, 286 pixels wide with 1 to 5 of them.
        scales: discriminators, each on half the size of the one before; with more than one the logits are a list.
        channels: 3 for an image, 6 for a pair; 1 and 4: the (first) image is seen in grey.
        norm: none, instance, layer, batch, spectral.
        bias: whether the convolutions between the first and the last have one.
        narrowing: whether each further scale has half the width of the one before.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        scales: int = 1,
        channels: int = 3,
        norm: str = "instance",
        bias: bool = True,
        narrowing: bool = True,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if layers < 1 or scales < 1:
            raise ValueError(f"layers and scales are at least 1, here are {layers} and {scales}")
        self.channels = channels
        self.scales = nn.ModuleList()
        for scale in range(scales):
            outer = max(1, round(width / 2**scale)) if narrowing else width
            widths = [outer * min(2**layer, 8) for layer in range(layers + 1)]
            self.scales.append(
                nn.ModuleList(
                    [
                        _Block(channels, outer, 4, 2),
                        *(_Block(i, o, 4, 2, norm, bias) for i, o in pairwise(widths[:-1])),
                        _Block(widths[-2], widths[-1], 4, 1, norm, bias),
                        _Block(widths[-1], 1, 4, 1, last=True),
                    ]
                )
            )
        initialize(self, init, init_gain)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """N,3,H,W in [-1, 1] (N,6,H,W for pairs) -> logits N,1,h,w; with more scales a list, the finest first."""
        logits = [activations[-1] for activations in self._activations(x)]
        return logits if len(logits) > 1 else logits[0]

    def features(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W -> the activations after each block but the last, of all scales, the finest first."""
        return [hidden for activations in self._activations(x) for hidden in activations[:-1]]

    def _activations(self, x: Tensor) -> list[list[Tensor]]:
        x = as_channels(x, self.channels)
        found: list[list[Tensor]] = []
        for index, blocks in enumerate(self.scales):
            if index > 0:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            found.append(_chain(blocks.children(), x))
        return found


class PixelDiscriminator(nn.Module):
    """Image, or a pair of images one above the other in the channels -> a logit for each pixel, from it alone.

    Args:
        width: channels of the first convolution; the second doubles them.
        channels: 3 for an image, 6 for a pair; 1 and 4: the (first) image is seen in grey.
        norm: none, instance, layer, batch, spectral; of the second convolution.
        bias: whether the second and the third convolution have one.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        width: int = 64,
        channels: int = 3,
        norm: str = "instance",
        bias: bool = True,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.blocks = nn.ModuleList(
            [
                _Block(channels, width, 1, 1),
                _Block(width, 2 * width, 1, 1, norm, bias),
                _Block(2 * width, 1, 1, 1, bias=bias, last=True),
            ]
        )
        initialize(self, init, init_gain)

    def forward(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1] (N,6,H,W for pairs) -> logits N,1,H,W."""
        return _chain(self.blocks, as_channels(x, self.channels))[-1]

    def features(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W -> the activations after the first and the second convolution."""
        return _chain(self.blocks, as_channels(x, self.channels))[:-1]


class _Block(nn.Module):
    """convolution -> norm -> leaky ReLU; the last has the convolution alone."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        norm: str = "none",
        bias: bool = True,
        *,
        last: bool = False,
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 4, bias=bias)
        self.conv = spectral_norm(convolution) if norm == "spectral" else convolution
        self.norm = norm_layer(norm, outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.last else F.leaky_relu(x, 0.2)


def _chain(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    return [x := block(x) for block in blocks]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.discriminators.add("patchgan", PatchDiscriminator)
    catalog.discriminators.add("pixel", PixelDiscriminator)
