"""A flow-matching bridge between paired images, as a plugin of i2i_forge."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i_forge import hookimpl

from .method import Bridge, BridgeForward
from .network import TimeUnet

__all__ = ["CHECKS", "FORGE_API", "Bridge", "BridgeForward", "TimeUnet", "register_components"]

FORGE_API = 1


@hookimpl
def register_components(catalog):
    catalog.trainers.add("bridge", Bridge)
    catalog.decoders.add("time_unet", TimeUnet)


def example(network: TimeUnet) -> list[Tensor]:
    """Images on their way, times, and the images they left."""
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return [images, torch.tensor([0.2, 0.7]), images.flip(3)]


CHECKS = {"time_unet": {"inputs": example, "skip": {"tells_its_shape": "a velocity is no image"}}}
