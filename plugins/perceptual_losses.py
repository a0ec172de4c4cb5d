"""Domain-invariant perceptual loss (Huang et al. 2018, MUNIT, section 5.1): VGG features without the domain's style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.errors import DataError
from i2i_forge.foreign import read_foreign
from i2i_forge.hookspecs import hookimpl
from i2i_forge.nn import InstanceNorm
from i2i_forge.paths import weights_file

BLOCKS = (2, 2, 3, 3, 3)  # convolutions of VGG16 in each block
WIDTHS = (64, 128, 256, 512, 512)
POOL_AFTER = (1, 2, 3)  # not after block 4: relu5_3 is at 1/8 of the side
CAFFE_MEAN = (103.939, 116.779, 123.680)  # blue, green, red


class CaffeVgg16(nn.Module):
    """VGG16 up to relu5_3 with the layout of the Caffe weights: conv1_1 ... conv5_3.

    Args:
        weights: state dict with `conv1_1.weight` ... `conv5_3.bias`.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        inputs = 3
        for block, (count, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
            for index in range(1, count + 1):
                self.add_module(f"conv{block}_{index}", nn.Conv2d(inputs, width, 3, padding=1))
                inputs = width
        self.load_state_dict(dict(weights))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1], RGB -> relu5_3: N,512,H/8,W/8."""
        mean = torch.tensor(CAFFE_MEAN, dtype=x.dtype, device=x.device)[:, None, None]
        x = (x.flip(1) + 1) * 127.5 - mean
        for block, count in enumerate(BLOCKS, 1):
            for index in range(1, count + 1):
                x = F.relu(self.get_submodule(f"conv{block}_{index}")(x), inplace=True)
            if block in POOL_AFTER:
                x = F.max_pool2d(x, 2)
        return x


class DomainInvariantPerceptual(nn.Module):
    """Mean squared difference of instance-normalised relu5_3 features of the Caffe VGG16.

    Args:
        weights: a file with the Caffe VGG16 state dict (conv1_1.weight ... conv5_3.bias), or its name in the cache.
    """

    def __init__(self, weights: str = "vgg16_caffe.pth") -> None:
        super().__init__()
        file = weights_file(weights)
        if not file.is_file():
            raise DataError(
                f"the perceptual loss needs the Caffe VGG16 weights, and {file} does not exist",
                fix="put a state dict with conv1_1.weight ... conv5_3.bias there, or train without the loss: "
                "--drop generator.perceptual",
            )
        content: Any = read_foreign(file)
        try:
            self.vgg = CaffeVgg16(content)
        except (RuntimeError, TypeError, ValueError) as error:
            raise DataError(
                f"{file} is not the state dict of the Caffe VGG16 ({str(error).splitlines()[-1].strip()[:120]})",
                fix="it must hold conv1_1.weight ... conv5_3.bias and nothing else; torchvision's VGG16 is another one",
            ) from None
        self.norm = InstanceNorm()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> the loss."""
        return (self.norm(self.vgg(input)) - self.norm(self.vgg(target))).square().mean()


@hookimpl
def register_components(catalog):
    catalog.losses.add("domain_invariant_perceptual", DomainInvariantPerceptual)
