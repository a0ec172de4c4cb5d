"""MUNIT's networks in plain torch, with the published widths as defaults (Huang et al. 2018, appendix B).

Nothing of i2i_forge is used, so that a comparison measures all of it. The layers are those of the published networks:
explicit padding, AdaIN as a batch norm over N*C channels, and the layer norm that divides by std + eps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Reflection padding, convolution, norm, activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, pad: int, norm: str, act: str) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(pad)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)
        norms = {"in": nn.InstanceNorm2d, "ln": LayerNorm, "adain": AdaIN}
        self.norm = norms[norm](outputs) if norm in norms else nn.Identity()
        acts = {"relu": nn.ReLU(inplace=True), "lrelu": nn.LeakyReLU(0.2, inplace=True), "tanh": nn.Tanh()}
        self.act = acts.get(act, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(self.pad(x))))


class AdaIN(nn.Module):
    """Normalises with a scale and a shift that somebody else sets before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = self.shift = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(1, -1, *x.shape[2:])
        y = F.batch_norm(flat, None, None, self.scale.reshape(-1), self.shift.reshape(-1), True, 0.1, 1e-5)
        return y.view_as(x)


class LayerNorm(nn.Module):
    """Over C,H,W of each sample: (x - mean) / (std + eps), then an affine map of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), -1)
        mean, std = flat.mean(1).view(-1, 1, 1, 1), flat.std(1).view(-1, 1, 1, 1)
        return (x - mean) / (std + 1e-5) * self.gamma.view(1, -1, 1, 1) + self.beta.view(1, -1, 1, 1)


class Residual(nn.Module):
    """x + two blocks."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Block(channels, channels, 3, 1, 1, norm, "relu"), Block(channels, channels, 3, 1, 1, norm, "none")
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Generator(nn.Module):
    """One domain's auto-encoder: content and style in, image out.

    Args:
        width, blocks, style_dim, mlp_dim: 64, 4, 8, 256 as published.
    """

    def __init__(self, width: int = 64, blocks: int = 4, style_dim: int = 8, mlp_dim: int = 256) -> None:
        super().__init__()
        wide = 4 * width
        self.content = nn.Sequential(
            Block(3, width, 7, 1, 3, "in", "relu"), Block(width, 2 * width, 4, 2, 1, "in", "relu"),
            Block(2 * width, wide, 4, 2, 1, "in", "relu"), *(Residual(wide, "in") for _ in range(blocks)),
        )  # fmt: skip
        self.style = nn.Sequential(
            Block(3, width, 7, 1, 3, "none", "relu"), Block(width, 2 * width, 4, 2, 1, "none", "relu"),
            *(Block(c, wide, 4, 2, 1, "none", "relu") for c in (2 * width, wide, wide)),
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, style_dim, 1),
        )  # fmt: skip
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(style_dim, mlp_dim), nn.ReLU(inplace=True), nn.Linear(mlp_dim, mlp_dim),
            nn.ReLU(inplace=True), nn.Linear(mlp_dim, 4 * blocks * wide),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            *(Residual(wide, "adain") for _ in range(blocks)),
            nn.Upsample(scale_factor=2), Block(wide, 2 * width, 5, 1, 2, "ln", "relu"),
            nn.Upsample(scale_factor=2), Block(2 * width, width, 5, 1, 2, "ln", "relu"),
            Block(width, 3, 7, 1, 3, "none", "tanh"),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Content and style."""
        style = self.style(x)
        return self.content(x), style

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """An image."""
        affine, at = self.mlp(style), 0
        for module in self.decoder.modules():
            if isinstance(module, AdaIN):
                module.shift = affine[:, at : at + module.channels]
                module.scale = affine[:, at + module.channels : at + 2 * module.channels]
                at += 2 * module.channels
        return self.decoder(content)


class Discriminator(nn.Module):
    """Three patch discriminators, on the image and on its halved versions."""

    def __init__(self, width: int = 64, layers: int = 4, scales: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList()
        for _ in range(scales):
            blocks: list[nn.Module] = [Block(3, width, 4, 2, 1, "none", "lrelu")]
            for level in range(layers - 1):
                blocks.append(Block(width * 2**level, width * 2 ** (level + 1), 4, 2, 1, "none", "lrelu"))
            self.scales.append(nn.Sequential(*blocks, nn.Conv2d(width * 2 ** (layers - 1), 1, 1)))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for scale in self.scales:
            found.append(scale(x))
            x = self.halve(x)
        return found
