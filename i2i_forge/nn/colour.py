"""Colour and grey: data is always RGB, and a network that has fewer channels sees grey."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class WrongChannels(ValueError):
    """A network is shown another number of channels than it was built for."""

    def __init__(self, channels: int, shown: int) -> None:
        super().__init__(f"the network has channels {channels}, what it is shown has {shown}")


def as_channels(x: Tensor, channels: int) -> Tensor:
    """What a network of so many channels sees: the (first) image in grey where two channels fewer are wanted.

    Args:
        x: N,C,H,W, the first three channels RGB.
        channels: C, or C - 2: grey, then the channels behind the first three.

    Raises:
        WrongChannels: for any other number of channels.
    """
    if x.shape[1] not in (channels, channels + 2):
        raise WrongChannels(channels, x.shape[1])
    if x.shape[1] == channels:
        return x
    grey = (x[:, :3] * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return torch.cat([grey, x[:, 3:]], dim=1)
