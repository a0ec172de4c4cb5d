"""U-Net generators (Ronneberger et al. 2015), as in pix2pix (Isola et al. 2017) and BicycleGAN (Zhu et al. 2017).

Level 0 is the outermost. Widths are width * [1, 2, 4, 8, 8, ...]; every level halves height and width.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i_forge import Catalog, hookimpl
from i2i_forge.nn import Pad, as_channels, initialize, norm_layer


class UnetEncoder(nn.Module):
    """Image, and a code where there is one -> the features of every level, the outermost first.

    Args:
        channels: of the image: 3, or 1 to see it in grey.
        width: channels of level 0.
        levels: halvings of height and width, at least 3; 8 takes 256 pixels down to 1.
        code_dim: length of the code, 0 for none.
        code_at: all (every level sees the code) or input (only the outermost does).
        norm: none, instance, layer, batch, spectral; never on the outermost and the innermost level.
        statistics_at_test: running, or batch: batch norms use what they are given in inference too, as pix2pix does.
        bias: whether the convolutions have one.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        levels: int = 8,
        code_dim: int = 0,
        code_at: Literal["all", "input"] = "all",
        norm: str = "batch",
        statistics_at_test: Literal["running", "batch"] = "running",
        bias: bool = True,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        _one_of("code_at", code_at, ("all", "input"))
        _one_of("statistics_at_test", statistics_at_test, ("running", "batch"))
        widths = _widths(width, levels)
        self.channels, self.code_dim, self.code_at, self.stride = channels, code_dim, code_at, 2**levels
        self.down = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            seen = inputs + (code_dim if level == 0 or code_at == "all" else 0)
            convolution = nn.Conv2d(seen, outputs, 4, 2, 1, bias=bias)
            norm_here = norm if 0 < level < levels - 1 else "none"
            self.down.append(_Layer(convolution, outputs, norm_here, statistics_at_test))
        initialize(self, init, init_gain)

    def forward(self, x: Tensor, code: Tensor | None = None) -> list[Tensor]:
        """N,3,H,W in [-1, 1] and N,code_dim (or 1,3,H,W and K,code_dim) -> N,C,H/2,W/2 ... N,C,H/stride,W/stride.

        Raises ValueError when a side is no multiple of the stride, and when a code is missing or too much.
        """
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise ValueError(
                f"{len(self.down)} levels need sides that are multiples of {self.stride}, "
                f"the image has {x.shape[2]}x{x.shape[3]}"
            )
        if (code is None) != (self.code_dim == 0):
            raise ValueError(f"code_dim is {self.code_dim}, but {'no' if code is None else 'a'} code was given")
        x = as_channels(x, self.channels)
        features: list[Tensor] = []
        for level, layer in enumerate(self.down):
            if code is not None and (level == 0 or self.code_at == "all"):
                x = _with_code(x, code)
            x = layer(F.leaky_relu(x, 0.2) if level > 0 else x)  # the code passes the activation as well
            features.append(x)
        return features


class UnetDecoder(nn.Module):
    """Features of every level -> image. Each level sees what comes up from below, then the encoder's features.

    Args:
        channels: of the image.
        width: of the encoder.
        levels: of the encoder.
        norm: none, instance, layer, batch, spectral; never on the outermost level.
        dropout: share of zeroed activations in the middle levels, those of full width that are not the innermost.
        dropout_at_test: whether it goes on in inference, where it is pix2pix's only source of variety.
        upsample: transposed (convolution 4x4) or bilinear (then reflection padding and convolution 3x3).
        statistics_at_test: running, or batch: batch norms use what they are given in inference too, as pix2pix does.
        bias: whether the convolutions have one; the outermost always does.
        init: kaiming, gaussian, xavier, orthogonal, default.
        init_gain: standard deviation of gaussian, gain of xavier and orthogonal; batch norms start at N(1, init_gain).
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        levels: int = 8,
        norm: str = "batch",
        dropout: float = 0.0,
        dropout_at_test: bool = False,
        upsample: Literal["transposed", "bilinear"] = "transposed",
        statistics_at_test: Literal["running", "batch"] = "running",
        bias: bool = True,
        init: str = "gaussian",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        _one_of("upsample", upsample, ("transposed", "bilinear"))
        _one_of("statistics_at_test", statistics_at_test, ("running", "batch"))
        widths = _widths(width, levels)
        self.dropout, self.dropout_at_test, self.bilinear = dropout, dropout_at_test, upsample == "bilinear"
        self.up = nn.ModuleList()
        for level, (outputs, inputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            seen = inputs if level == levels - 1 else 2 * inputs
            has_bias = bias or level == 0
            convolution: nn.Module = nn.ConvTranspose2d(seen, outputs, 4, 2, 1, bias=has_bias)
            if self.bilinear:
                convolution = nn.Conv2d(seen, outputs, 3, bias=has_bias)
            self.up.append(_Layer(convolution, outputs, norm if level > 0 else "none", statistics_at_test))
        self.pad = Pad(1, "reflect")
        initialize(self, init, init_gain)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> N,3,H,W in [-1, 1]."""
        innermost = len(self.up) - 1
        x = features[innermost]
        for level in range(innermost, -1, -1):
            x = F.relu(x if level == innermost else torch.cat([x, features[level]], dim=1))
            x = self.up[level](self.pad(doubled(x)) if self.bilinear else x)
            if 4 <= level < innermost:
                x = F.dropout(x, self.dropout, training=self.training or self.dropout_at_test)
        return x.tanh()


class _Layer(nn.Module):
    """convolution -> norm."""

    def __init__(self, convolution: nn.Module, channels: int, norm: str, statistics_at_test: str) -> None:
        super().__init__()
        self.conv = spectral_norm(convolution) if norm == "spectral" else convolution
        self.norm = norm_layer(norm, channels)
        self.statistics_at_test = statistics_at_test

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if isinstance(self.norm, nn.BatchNorm2d) and not self.training and self.statistics_at_test == "batch":
            return F.batch_norm(x, None, None, self.norm.weight, self.norm.bias, training=True, eps=self.norm.eps)
        return x if self.norm is None else self.norm(x)


def doubled(x: Tensor) -> Tensor:
    """Bilinear interpolation to twice the size, corners not aligned: N,C,H,W -> N,C,2H,2W.

    Made of slices, because torch's own has no deterministic backward on CUDA.
    """
    for dim in (2, 3):
        size = x.shape[dim]
        before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, size - 1)], dim)
        after = torch.cat([x.narrow(dim, 1, size - 1), x.narrow(dim, size - 1, 1)], dim)
        x = torch.stack([x.lerp(before, 0.25), x.lerp(after, 0.25)], dim + 1).flatten(dim, dim + 1)
    return x


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{option} '{value}' is not one of {', '.join(known)}")


def _widths(width: int, levels: int) -> list[int]:
    if levels < 3:
        raise ValueError(f"levels is {levels}, a U-Net has at least 3")
    return [width * min(2**level, 8) for level in range(levels)]


def _with_code(x: Tensor, code: Tensor) -> Tensor:
    code = code.flatten(1)[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x.expand(code.shape[0], -1, -1, -1), code.to(x.dtype)], dim=1)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("unet", UnetEncoder)
    catalog.decoders.add("unet", UnetDecoder)


def _features(decoder: UnetDecoder) -> list[list[Tensor]]:
    """What `forge plugin check` calls a decoder with: the features of every level, the innermost 2x2."""
    draws = torch.Generator().manual_seed(0)
    levels = len(decoder.up)
    outermost: Any = decoder.up[0]
    widths = _widths(outermost.conv.in_channels // 2, levels)
    sides = [2 ** (levels - level) for level in range(levels)]
    return [[torch.randn(2, c, side, side, generator=draws) for c, side in zip(widths, sides, strict=True)]]


CHECKS = {"decoders.unet": {"inputs": _features}}
