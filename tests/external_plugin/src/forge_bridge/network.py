"""The velocity of a flow: a U-Net that is told the time."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.nn import ConvBlock


class TimeUnet(nn.Module):
    """Image on its way, time, and the image it left -> velocity.

    Args:
        width: channels at full size, a multiple of 4; every level doubles them.
        levels: halvings of height and width, at least 1.
    """

    def __init__(self, width: int = 32, levels: int = 3) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"width is {width}, a multiple of 4 is needed")
        if levels < 1:
            raise ValueError(f"levels is {levels}, a U-Net has at least 1")
        self.stride = 2**levels
        widths = [width * 2**level for level in range(levels + 1)]
        halvings = list(pairwise(widths))
        self.clock = TimeEmbedding(4 * width)
        self.enter = ConvBlock(6, width, 3, pad=1, activation="none")
        self.down = nn.ModuleList(TimedBlock(channels, 4 * width) for channels in widths[:-1])
        self.narrow = nn.ModuleList(ConvBlock(i, o, 4, stride=2, pad=1, activation="none") for i, o in halvings)
        self.middle = TimedBlock(widths[-1], 4 * width)
        self.widen = nn.ModuleList(ConvBlock(o, i, 3, pad=1, activation="none") for i, o in halvings)
        self.up = nn.ModuleList(TimedBlock(channels, 4 * width) for channels in widths[:-1])
        self.leave = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """N,3,H,W; N in [0, 1]; N,3,H,W (or 1,3,H,W) -> N,3,H,W; sides are multiples of `stride`."""
        time = self.clock(time)
        x = self.enter(torch.cat([x, condition.expand_as(x)], dim=1))
        passed = []
        for block, narrow in zip(self.down, self.narrow, strict=True):
            x = block(x, time)
            passed.append(x)
            x = narrow(x)
        x = self.middle(x, time)
        for block, widen, beside in zip(reversed(self.up), reversed(self.widen), reversed(passed), strict=True):
            x = block(widen(F.interpolate(x, scale_factor=2.0)) + beside, time)
        return self.leave(x)


class TimedBlock(nn.Module):
    """x + convolution(silu(norm(convolution(silu(norm(x)))))); the time scales and shifts the second norm."""

    def __init__(self, channels: int, time_dim: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(4, channels)
        self.second_norm = nn.GroupNorm(4, channels)
        self.affine = nn.Linear(time_dim, 2 * channels)
        self.first = ConvBlock(channels, channels, 3, pad=1, activation="none")
        self.second = ConvBlock(channels, channels, 3, pad=1, activation="none")

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """N,C,H,W and N,time_dim -> N,C,H,W."""
        scale, shift = self.affine(time)[:, :, None, None].chunk(2, dim=1)
        change = self.first(F.silu(self.first_norm(x)))
        return x + self.second(F.silu(self.second_norm(change) * (1 + scale) + shift))


class TimeEmbedding(nn.Module):
    """Time in [0, 1] -> waves of several frequencies, mixed by two linear layers.

    Args:
        dim: length of the result, even.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        frequencies = torch.logspace(0, 2, dim // 2)  # 1 to 100 radians
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """N -> N,dim."""
        angles = time[:, None] * self.frequencies
        return self.mix(torch.cat([angles.cos(), angles.sin()], dim=1))
