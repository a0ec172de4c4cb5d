"""LPIPS as a loss (Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge_plugins.backbones.lpips import read_lpips


class Lpips(nn.Module):
    """LPIPS of two batches, mean over the batch (eq. 1, which backbones/lpips.py has).

    Args:
        net: alex, vgg, squeeze.
        version: 0.1, or 0.0 of the first release, with which BicycleGAN and MUNIT measured.
        trunk: a file of torchvision's weights, or its name in the cache; none: what `forge weights get` fetches.
    """

    def __init__(
        self,
        net: Literal["alex", "vgg", "squeeze"] = "alex",
        version: Literal["0.1", "0.0"] = "0.1",
        trunk: str | None = None,
    ) -> None:
        super().__init__()
        self.network = read_lpips(net, version, trunk)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> the loss."""
        if input.shape != target.shape:
            raise ValueError(f"the tensors have different shapes: {tuple(input.shape)} and {tuple(target.shape)}")
        return self.network.distance(input, target).mean()


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("lpips", Lpips)


CHECKS = {"lpips": {"skip": {"runs": "it needs a file of weights"}}}
