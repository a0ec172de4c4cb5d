"""Domain-invariant perceptual loss (Huang et al. 2018, MUNIT, section 5.1): VGG features without the domain's style.

There are two VGG16s, trained apart and fed differently: the Caffe one of the paper, and torchvision's. The numbers they
give cannot be compared, so each has a loss of its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError
from i2i_forge.nn import InstanceNorm
from i2i_forge.run.foreign import read_foreign
from i2i_forge.system.weights import find, how_to_get, weights_file
from i2i_forge_plugins.backbones.rgb import need_rgb

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # of each block's convolutions
POOL_AFTER = (1, 2, 3)  # not after block 4: relu5_3 is at 1/8 of the side
NAMES = tuple(f"conv{block}_{index}" for block, widths in enumerate(WIDTHS, 1) for index, _ in enumerate(widths, 1))


@dataclass(frozen=True)
class Layout:
    """How a VGG16's file names its convolutions, and what its first one expects."""

    title: str
    loss: str
    names: tuple[str, ...]
    ignored: str  # a prefix of names that relu5_3 does not need
    flipped: bool  # blue, green, red
    unit: float  # the brightest value
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def example(self) -> str:
        """The first and the last of the tensors."""
        return f"{self.names[0]}.weight ... {self.names[-1]}.bias"


CAFFE = Layout(
    "the Caffe VGG16", "domain_invariant_perceptual", NAMES, ignored="", flipped=True, unit=255,
    mean=(103.939, 116.779, 123.680), std=(1, 1, 1),
)  # fmt: skip
TORCHVISION = Layout(
    "torchvision's VGG16", "domain_invariant_perceptual_torchvision",
    tuple(f"features.{index}" for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    ignored="classifier.", flipped=False, unit=1, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
)  # fmt: skip


class Vgg16(nn.Module):
    """VGG16 up to relu5_3, frozen; conv1_1 ... conv5_3 whatever the layout.

    Args:
        weights: state dict in the layout's names.
        layout: CAFFE or TORCHVISION.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Mapping[str, Tensor], layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        inputs = 3
        for name, outputs in zip(NAMES, sum(WIDTHS, ()), strict=True):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
        ours = dict(zip(layout.names, NAMES, strict=True))
        parts = {key: key.rpartition(".") for key in weights if not (layout.ignored and key.startswith(layout.ignored))}
        self.load_state_dict({f"{ours.get(n, n)}.{kind}": weights[key] for key, (n, _, kind) in parts.items()})
        for name, values in (("mean", layout.mean), ("std", layout.std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64)[:, None, None], persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """N,3,H,W in [-1, 1], RGB -> relu5_3: N,512,H/8,W/8. Raises DataError for other than three channels."""
        need_rgb(x, self.layout.title)
        x = (x.flip(1) if self.layout.flipped else x) + 1
        x = (x * (self.layout.unit / 2) - self.mean.to(x.dtype)) / self.std.to(x.dtype)
        for block, widths in enumerate(WIDTHS, 1):
            for index in range(1, len(widths) + 1):
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
        self.vgg = read_vgg16(weights, CAFFE)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> the loss."""
        return _distance(self.vgg, input, target)


class DomainInvariantPerceptualTorchvision(nn.Module):
    """Mean squared difference of instance-normalised relu5_3 features of torchvision's VGG16 (not the published one).

    Args:
        weights: the file of torchvision's VGG16 (features.0.weight ...), or its name in the cache.
    """

    def __init__(self, weights: str = "vgg16-397923af.pth") -> None:
        super().__init__()
        self.vgg = read_vgg16(weights, TORCHVISION)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> the loss."""
        return _distance(self.vgg, input, target)


def read_vgg16(weights: str, layout: Layout) -> Vgg16:
    """The network in a file. Raises DataError when there is none, or when it is another network."""
    file = weights_file(weights)
    if not file.is_file():
        known = find("vgg16")
        get = f"{how_to_get(known)}, or " if weights == known.file else ""
        raise DataError(
            f"the perceptual loss needs the weights of {layout.title}, and {file} does not exist",
            fix=f"{get}put a state dict with {layout.example} there, "
            "or train without the loss: --drop generator.perceptual",
        )
    content: Any = read_foreign(file)
    names = set(content) if isinstance(content, Mapping) else set()
    for other in (CAFFE, TORCHVISION):
        if other is not layout and f"{other.names[0]}.weight" in names:
            raise DataError(
                f"{file} is not the state dict of {layout.title} but of {other.title}",
                fix=f"write {other.loss}(..., weights='{weights}'), or give this loss its own file",
            )
    try:
        return Vgg16(content, layout)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{file} is not the state dict of {layout.title} ({str(error).splitlines()[-1].strip()[:120]})",
            fix=f"it must hold {layout.example}" + (" and nothing else" if not layout.ignored else ""),
        ) from None


def _distance(vgg: Vgg16, input: Tensor, target: Tensor) -> Tensor:
    normalise = InstanceNorm()
    return (normalise(vgg(input)) - normalise(vgg(target))).square().mean()


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("domain_invariant_perceptual", DomainInvariantPerceptual)
    catalog.losses.add("domain_invariant_perceptual_torchvision", DomainInvariantPerceptualTorchvision)


NEEDS_FILE = {"skip": {"runs": "it needs a file of weights"}}
CHECKS = dict.fromkeys(("domain_invariant_perceptual", "domain_invariant_perceptual_torchvision"), NEEDS_FILE)
