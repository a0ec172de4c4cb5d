"""Networks around a latent code: its encoder and its discriminator (Almahairi et al. 2018, Augmented CycleGAN)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import UsageError
from i2i_forge.nn import initialize

SMALLEST = 49  # four halvings, rounded up, leave the four pixels that the last convolution takes


class ConditionalCodeEncoder(nn.Module):
    """Image, seen beside its counterpart in the other domain -> mean and log-variance of its code.

    It has batch norm: in training a batch needs more than one image. The published code evaluates with the statistics
    of the evaluated batch; here the running ones serve, so that one image has one code.

    Args:
        width: channels of the first convolution; the next three double them.
        dim: length of the code.
        conditional: whether it sees the counterpart.
        channels: of each image; [of the image, of its counterpart] where they differ.
        init: kaiming, gaussian, xavier, orthogonal, default.
        gain: of the initialisation; the standard deviation of gaussian.
    """

    def __init__(
        self,
        width: int = 32,
        dim: int = 16,
        conditional: bool = True,
        channels: int | list[int] = 3,
        init: str = "gaussian",
        gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.dim, self.conditional = dim, conditional
        own, other = channels if isinstance(channels, list) else (channels, channels)
        inputs = own + other if conditional else own
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, 2, 1), nn.ReLU(inplace=True)]
        for i, o in pairwise((width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(8 * width, 8 * width, 4, bias=False), nn.BatchNorm2d(8 * width), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.to_mean = nn.Linear(8 * width, dim)
        self.to_logvar = nn.Linear(8 * width, dim)
        initialize(self, init, gain=gain)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Two N,C,H,W in [-1, 1], sides of at least 49 -> mean and logvar, each N,dim. Unconditional: one."""
        if min(x.shape[2:]) < SMALLEST:
            raise UsageError(
                f"conditional_code needs sides of at least {SMALLEST} pixels, not {tuple(x.shape[2:])}",
                fix="use larger images",
            )
        if self.conditional:
            if condition is None:
                raise UsageError(
                    "conditional_code needs the image's counterpart", fix="give it, or set `conditional: false`"
                )
            x = torch.cat([condition, x], dim=1)
        pooled = self.layers(x).mean((2, 3))  # of one pixel when the image has 64x64
        return self.to_mean(pooled), self.to_logvar(pooled)


class CodeDiscriminator(nn.Module):
    """Tells codes of images from codes drawn: linear maps with batch norm, so that a batch needs more than one.

    Args:
        width: length of the hidden layers.
        dim: length of the code.
        layers: hidden layers.
    """

    def __init__(self, width: int = 64, dim: int = 16, layers: int = 3) -> None:
        super().__init__()
        self.dim = dim
        widths = (dim, *[width] * layers)
        hidden = [(nn.Linear(i, o), nn.BatchNorm1d(o), nn.LeakyReLU(0.2, inplace=True)) for i, o in pairwise(widths)]
        self.layers = nn.Sequential(*(layer for block in hidden for layer in block), nn.Linear(width, 1))

    def forward(self, code: Tensor) -> Tensor:
        """N,dim -> logits N,1."""
        return self.layers(code)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.encoders.add("conditional_code", ConditionalCodeEncoder)
    catalog.discriminators.add("code_mlp", CodeDiscriminator)


def _image_and_counterpart(network: ConditionalCodeEncoder) -> list[Tensor]:
    """What `forge plugin check` calls the encoder with."""
    return [*torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1]


CHECKS = {"conditional_code": {"inputs": _image_and_counterpart}}
