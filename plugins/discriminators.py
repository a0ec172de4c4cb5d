"""Discriminators that judge patches (Isola et al. 2017) at several scales (Wang et al. 2018)."""

from __future__ import annotations

from itertools import accumulate, pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import Augmentation, ConvBlock, initialize


class MultiscalePatchDiscriminator(nn.Module):
    """Independent patch discriminators on the image and on its halved, quartered ... versions.

    Args:
        width: channels of the first convolution; each layer doubles them.
        layers: strided convolutions of each discriminator.
        scales: how many discriminators.
        channels: of the image.
        norm: none, instance, layer, batch, spectral; never on a discriminator's first and last layer.
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
        init: kaiming, gaussian, xavier, orthogonal, default.
        augment: differentiable augmentation of what it sees in training: of color, translation, cutout, flip.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 4,
        scales: int = 3,
        channels: int = 3,
        norm: str = "none",
        activation: str = "lrelu",
        padding: str = "reflect",
        init: str = "gaussian",
        augment: list[str] | None = None,
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(layers)]
        style = {"activation": activation, "padding": padding}
        self.scales = nn.ModuleList(
            nn.Sequential(
                ConvBlock(channels, width, 4, 2, 1, **style),
                *(ConvBlock(i, o, 4, 2, 1, norm=norm, **style) for i, o in pairwise(widths)),
                nn.Conv2d(widths[-1], 1, 1),
            )
            for _ in range(scales)
        )
        self.augment = Augmentation(augment or [])
        initialize(self, init)

    def forward(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W in [-1, 1] -> for each scale s the logits N,1,H/2^(layers+s),W/2^(layers+s)."""
        return [activations[-1] for activations in self._activations(x)]

    def features(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W in [-1, 1] -> the activations after each block, scale after scale, without the logits."""
        return [activation for activations in self._activations(x) for activation in activations[:-1]]

    def _activations(self, x: Tensor) -> list[list[Tensor]]:
        """For each scale what its layers give; the last are the logits."""
        x = self.augment(x)
        found = []
        for index, scale in enumerate(self.scales):
            if index > 0:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            found.append(list(accumulate(scale.children(), lambda value, layer: layer(value), initial=x))[1:])
        return found


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.discriminators.add("multiscale_patch", MultiscalePatchDiscriminator)
