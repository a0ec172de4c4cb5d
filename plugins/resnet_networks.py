"""The generator of CycleGAN in two parts: strided convolutions and residual blocks, then transposed convolutions.

Zhu et al. 2017 (arXiv 1703.10593), section 4 and appendix 7.2, after Johnson et al. 2016. A generator from one domain
to another is `decoder(encoder(x))`; the residual blocks belong to the encoder.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import Pad, grey, initialize, norm_layer


class ResnetEncoder(nn.Module):
    """Image -> features: 7x7 stem, strided 3x3 convolutions, residual blocks, reflection padding.

    Args:
        width: channels of the stem; each downsampling doubles them.
        downsamples: halvings of height and width.
        blocks: residual blocks.
        channels: of the image; 1 turns RGB into its luma.
        norm: none, instance, layer, batch, spectral.
        dropout: share of features dropped between the two convolutions of a block.
        dropout_at_test: drop them at test time too.
        bias: of convolutions before a norm; ~ is the published habit: with instance norm only.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian and of batch norm's scales, gain of xavier and orthogonal.
    """

    def __init__(
        self,
        width: int = 64,
        downsamples: int = 2,
        blocks: int = 9,
        channels: int = 3,
        norm: str = "instance",
        dropout: float = 0.0,
        dropout_at_test: bool = False,
        bias: bool | None = None,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.stride = 2**downsamples
        bias = norm == "instance" if bias is None else bias
        widths = [width * 2**level for level in range(downsamples + 1)]
        self.luma = channels == 1
        self.stem = _unit(nn.Conv2d(channels, width, 7, bias=bias), norm, pad=3)
        self.down = nn.Sequential(
            *(_unit(nn.Conv2d(i, o, 3, 2, 1, bias=bias), norm) for i, o in pairwise(widths))
        )  # fmt: skip
        self.blocks = nn.Sequential(
            *(_Residual(widths[-1], norm, bias, dropout, dropout_at_test) for _ in range(blocks))
        )  # fmt: skip
        initialize(self, init, init_gain)

    def forward(self, x: Tensor) -> Tensor:
        """N,channels,H,W (or N,3,H,W, seen in grey) in [-1, 1] -> N,C,H/stride,W/stride, unbounded."""
        if self.luma and x.shape[1] == 3:
            x = grey(x)
        return self.blocks(self.down(self.stem(x)))


class ResnetDecoder(nn.Module):
    """Features -> image: transposed 3x3 convolutions that double the size, a 7x7 convolution, tanh.

    Args:
        width: channels before the last convolution.
        upsamples: doublings of height and width.
        channels: of the image.
        norm: none, instance, layer, batch, spectral.
        bias: of convolutions before a norm; ~ is the published habit: with instance norm only. The last one has it.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian and of batch norm's scales, gain of xavier and orthogonal.
    """

    def __init__(
        self,
        width: int = 64,
        upsamples: int = 2,
        channels: int = 3,
        norm: str = "instance",
        bias: bool | None = None,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        bias = norm == "instance" if bias is None else bias
        widths = [width * 2**level for level in range(upsamples, -1, -1)]
        self.up = nn.Sequential(
            *(_unit(nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1, bias=bias), norm) for i, o in pairwise(widths))
        )
        self.to_image = _unit(nn.Conv2d(width, channels, 7), "none", pad=3, activation=nn.Tanh())
        initialize(self, init, init_gain)

    def forward(self, features: Tensor) -> Tensor:
        """N,C,h,w -> N,channels,H,W in [-1, 1]."""
        return self.to_image(self.up(features))


class _Residual(nn.Module):
    """x + change(x); no activation after the sum."""

    def __init__(self, channels: int, norm: str, bias: bool, dropout: float, dropout_at_test: bool) -> None:
        super().__init__()
        drop = [_Dropout(dropout, dropout_at_test)] if dropout else []
        first, second = (nn.Conv2d(channels, channels, 3, bias=bias) for _ in range(2))
        # Dropout takes a place of its own, as in published checkpoints: the second convolution's name tells of it.
        self.change = nn.Sequential(
            _unit(first, norm, pad=1), *drop, _unit(second, norm, pad=1, activation=nn.Identity())
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class _Dropout(nn.Dropout):
    def __init__(self, share: float, at_test: bool) -> None:
        super().__init__(share)
        self.at_test = at_test

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training or self.at_test)


def _unit(
    convolution: nn.Conv2d | nn.ConvTranspose2d, norm: str, pad: int = 0, activation: nn.Module | None = None
) -> nn.Sequential:
    """pad -> convolution -> norm -> activation (ReLU)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(pad=Pad(pad))
    layers["conv"] = spectral_norm(convolution) if norm == "spectral" else convolution
    if (normalisation := norm_layer(norm, convolution.out_channels)) is not None:
        layers["norm"] = normalisation
    layers["activation"] = activation or nn.ReLU(inplace=True)
    return nn.Sequential(layers)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("resnet", ResnetEncoder)
    catalog.decoders.add("resnet", ResnetDecoder)
