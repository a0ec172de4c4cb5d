"""Colour and grey: a network that has one channel for an RGB image sees it in grey."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_coloured: ContextVar[Collection[int] | None] = ContextVar("coloured", default=None)  # None: whatever has two more


class WrongChannels(ValueError):
    """A network is shown another number of channels than it was built for."""

    def __init__(self, channels: int, shown: int) -> None:
        self.channels, self.shown = channels, shown
        super().__init__(f"the network has channels {channels}, what it is shown has {shown}")


def as_channels(x: Tensor, channels: int) -> Tensor:
    """What a network of so many channels sees: the (first) image in grey where two channels fewer are wanted.

    Args:
        x: N,C,H,W, the first three channels RGB.
        channels: C, or C - 2: grey, then the channels behind the first three.

    Raises:
        WrongChannels: for any other number of channels.
    """
    if x.shape[1] == channels:
        return x
    coloured = _coloured.get()
    if x.shape[1] != channels + 2 or not (coloured is None or x.shape[1] in coloured):
        raise WrongChannels(channels, x.shape[1])
    return torch.cat([grey(x[:, :3]), x[:, 3:]], dim=1)


def grey(rgb: Tensor) -> Tensor:
    """N,3,H,W -> N,1,H,W: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    red, green, blue = torch.split(rgb, 1, dim=1)  # a tensor of weights would have a GPU wait for it
    return 0.299 * red + 0.587 * green + 0.114 * blue


@contextmanager
def coloured(counts: Collection[int] | None) -> Iterator[None]:
    """Inside, `as_channels` takes for RGB only the first channels of what has one of these numbers of them."""
    token = _coloured.set(counts)
    try:
        yield
    finally:
        _coloured.reset(token)
