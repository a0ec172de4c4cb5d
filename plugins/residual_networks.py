"""Residual encoder of content, and its decoders with and without a style (Huang et al. 2018, MUNIT, appendix B.1)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import ConvBlock, DoubledConvBlock, LinearBlock, ResidualBlock, initialize


class ResidualContentEncoder(nn.Module):
    """Image -> content code: strided convolutions, then residual blocks, all instance-normalised.

    Args:
        width: channels of the first convolution; each downsampling doubles them.
        downsamples: halvings of height and width.
        blocks: residual blocks.
        channels: of the image.
        norm: none, instance, layer, batch, spectral.
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
        init: kaiming, gaussian, xavier, orthogonal, default.
    """

    def __init__(
        self, width: int = 64, downsamples: int = 2, blocks: int = 4, channels: int = 3, norm: str = "instance",
        activation: str = "relu", padding: str = "reflect", init: str = "kaiming",
    ) -> None:  # fmt: skip
        super().__init__()
        self.stride = 2**downsamples
        widths = [width * 2**level for level in range(downsamples + 1)]
        style = {"norm": norm, "activation": activation, "padding": padding}
        self.stem = ConvBlock(channels, width, 7, 1, 3, **style)
        self.down = nn.Sequential(*(ConvBlock(i, o, 4, 2, 1, **style) for i, o in pairwise(widths)))
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1], **style) for _ in range(blocks)))
        initialize(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1] -> N,C,H/stride,W/stride, unbounded."""
        return self.blocks(self.down(self.stem(x)))


class AdainResidualDecoder(nn.Module):
    """Content code and style code -> image. The style enters only through AdaIN in the residual blocks.

    One content (N = 1) may be decoded with K styles at once; the layers before the first AdaIN then run once.

    Args:
        width: channels before the last convolution.
        upsamples: doublings of height and width.
        blocks: residual blocks.
        style_dim: length of the style code.
        mlp_dim: width of the map from style to AdaIN parameters.
        channels: of the image.
        norm: of the upsampling blocks: none, instance, layer, batch, spectral.
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
        init: kaiming, gaussian, xavier, orthogonal, default.
    """

    def __init__(
        self, width: int = 64, upsamples: int = 2, blocks: int = 4, style_dim: int = 8, mlp_dim: int = 256,
        channels: int = 3, norm: str = "layer", activation: str = "relu", padding: str = "reflect",
        init: str = "kaiming",
    ) -> None:  # fmt: skip
        super().__init__()
        widest, style = width * 2**upsamples, {"activation": activation, "padding": padding}
        self.blocks = nn.ModuleList(ResidualBlock(widest, norm="adain", **style) for _ in range(blocks))
        self.up = _upsampling(width, upsamples, norm=norm, **style)
        self.to_image = _to_image(width, channels, padding)
        self.mlp = nn.Sequential(
            LinearBlock(style_dim, mlp_dim, activation=activation),
            LinearBlock(mlp_dim, mlp_dim, activation=activation),
            LinearBlock(mlp_dim, 2 * blocks * 2 * widest, activation="none"),
        )
        initialize(self, init)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """N,C,h,w and N,style_dim (or 1,C,h,w and K,style_dim) -> N,3,H,W (K,3,H,W) in [-1, 1]."""
        affine = self.mlp(style.flatten(1)).chunk(2 * len(self.blocks), dim=1)
        x = content
        for index, block in enumerate(self.blocks):
            x = block(x, affine[2 * index : 2 * index + 2])
        return self.to_image(self.up(x))


class ResidualDecoder(nn.Module):
    """Content code -> image: the AdaIN decoder without a style, its residual blocks instance-normalised (Liu et al.
    2017, UNIT, in the version that was published with MUNIT).

    Args:
        width: channels before the last convolution.
        upsamples: doublings of height and width.
        blocks: residual blocks.
        channels: of the image.
        norm: of the upsampling blocks: none, instance, layer, batch, spectral.
        activation: relu, lrelu, prelu, selu, tanh, none.
        padding: reflect, replicate, zero.
        init: kaiming, gaussian, xavier, orthogonal, default.
    """

    def __init__(
        self, width: int = 64, upsamples: int = 2, blocks: int = 4, channels: int = 3, norm: str = "layer",
        activation: str = "relu", padding: str = "reflect", init: str = "kaiming",
    ) -> None:  # fmt: skip
        super().__init__()
        widest, style = width * 2**upsamples, {"activation": activation, "padding": padding}
        self.blocks = nn.Sequential(*(ResidualBlock(widest, norm="instance", **style) for _ in range(blocks)))
        self.up = _upsampling(width, upsamples, norm=norm, **style)
        self.to_image = _to_image(width, channels, padding)
        initialize(self, init)

    def forward(self, content: Tensor) -> Tensor:
        """N,C,h,w -> N,3,H,W in [-1, 1]."""
        return self.to_image(self.up(self.blocks(content)))


def _upsampling(width: int, upsamples: int, **style: str) -> nn.Sequential:
    widths = [width * 2**level for level in range(upsamples, -1, -1)]
    return nn.Sequential(*(DoubledConvBlock(i, o, **style) for i, o in pairwise(widths)))


def _to_image(width: int, channels: int, padding: str) -> ConvBlock:
    return ConvBlock(width, channels, 7, 1, 3, activation="tanh", padding=padding)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("residual_content", ResidualContentEncoder)
    catalog.decoders.add("adain_residual", AdainResidualDecoder)
    catalog.decoders.add("residual", ResidualDecoder)
