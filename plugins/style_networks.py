"""Style encoder with global pooling (Huang et al. 2018, MUNIT, appendix B.1)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import ConvBlock, initialize


class PooledStyleEncoder(nn.Module):
    """Image -> style code: strided convolutions without norm, global average, linear map.

    Args:
        width: channels of the first convolution; the first two downsamplings double them.
        dim: length of the style code.
        downsamples: halvings of height and width.
        channels: of the image.
        norm: none, instance, layer, batch, spectral. Instance norm would remove the style itself.
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
        init: kaiming, gaussian, xavier, orthogonal, default.
    """

    def __init__(
        self,
        width: int = 64,
        dim: int = 8,
        downsamples: int = 4,
        channels: int = 3,
        norm: str = "none",
        activation: str = "relu",
        padding: str = "reflect",
        init: str = "kaiming",
    ) -> None:
        super().__init__()
        self.dim = dim
        widths = [width * min(2**level, 4) for level in range(downsamples + 1)]
        style = {"norm": norm, "activation": activation, "padding": padding}
        self.stem = ConvBlock(channels, width, 7, 1, 3, **style)
        self.down = nn.Sequential(*(ConvBlock(i, o, 4, 2, 1, **style) for i, o in pairwise(widths)))
        self.to_code = nn.Conv2d(widths[-1], dim, 1)
        initialize(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1] -> N,dim."""
        pooled = self.down(self.stem(x)).mean((2, 3), keepdim=True)
        return self.to_code(pooled).flatten(1)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("pooled_style", PooledStyleEncoder)
