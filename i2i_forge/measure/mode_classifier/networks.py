"""The two networks: a small one of our own, trained from nothing in a minute or two, and torchvision's Inception-v3."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2i_forge.errors import DataError, suggest
from i2i_forge.run.foreign_files import read_foreign
from i2i_forge.system.weights import required

AUXILIARY = 0.4  # weight of Inception-v3's auxiliary classifier (Szegedy et al. 2016)


class Network(nn.Module, ABC):
    """Features and a linear head.

    Attributes:
        head: the last layer, D -> modes.
    """

    head: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """B,3,S,S in [-1, 1] -> B,D."""

    def forward(self, x: Tensor) -> Tensor:
        """B,3,S,S in [-1, 1] -> logits B,M."""
        return cast(Tensor, self.head(self.features(x)))

    def loss(self, x: Tensor, modes: Tensor) -> Tensor:
        """What training minimises; modes are B, int64."""
        return functional.cross_entropy(self(x), modes)


class SmallNetwork(Network):
    """Four stages of convolution, batch norm, relu; the mean over places.

    Args:
        modes: how many.
    """

    def __init__(self, modes: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 128)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in pairwise(widths)
            )
        )
        self.head = nn.Linear(widths[-1], modes)

    def features(self, x: Tensor) -> Tensor:
        """B,3,S,S in [-1, 1] -> B,128."""
        return cast(Tensor, self.stages(x).mean((2, 3)))


class InceptionNetwork(Network):
    """torchvision's Inception-v3 with new last layers (Szegedy et al. 2016, Rethinking the Inception Architecture).

    Its weights were made for images in [-1, 1], so nothing is done to them: `transform_input` would undo a
    normalisation by ImageNet's mean and deviation that we do not apply.

    Args:
        modes: how many.
    """

    def __init__(self, modes: int) -> None:
        super().__init__()
        from torchvision.models import inception_v3  # slow to import

        self.trunk = inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)
        self.trunk.AuxLogits.fc = nn.Linear(768, modes)
        self.trunk.fc = nn.Identity()
        self.head = nn.Linear(2048, modes)

    def features(self, x: Tensor) -> Tensor:
        """B,3,299,299 in [-1, 1] -> B,2048; after dropout in training."""
        found = self.trunk(x)
        return cast(Tensor, found.logits if self.training else found)

    def loss(self, x: Tensor, modes: Tensor) -> Tensor:
        """With the auxiliary classifier's, which looks at the middle of the network."""
        features, auxiliary = self.trunk(x)
        main = functional.cross_entropy(self.head(features), modes)
        return main + AUXILIARY * functional.cross_entropy(auxiliary, modes)

    def start_from_imagenet(self) -> None:
        """Take the trunk's weights from torchvision's file. Raises DataError when it is missing or another network."""
        file = required("inception_v3", by="the classifier")
        content = {name: value for name, value in read_foreign(file).items() if "fc." not in name}
        try:
            missing = self.trunk.load_state_dict(content, strict=False).missing_keys
            if lacking := [name for name in missing if not name.startswith("AuxLogits.fc")]:
                raise RuntimeError(f"{lacking[0]} is missing")
        except RuntimeError as error:
            raise DataError(
                f"{file} is not torchvision's Inception-v3 ({str(error).splitlines()[-1].strip()[:120]})",
                fix="remove it and get it again: forge weights get inception_v3",
            ) from None


NETWORKS: dict[str, type[Network]] = {"small": SmallNetwork, "inception_v3": InceptionNetwork}
SMALLEST = {"small": 16, "inception_v3": 75}  # images that pass through


def make_network(name: str, modes: int) -> Network:
    """A freshly drawn network. Raises DataError for an unknown name."""
    if name not in NETWORKS:
        raise DataError(f"there is no classifier network '{name}'", fix=suggest(name, NETWORKS))
    return NETWORKS[name](modes)


def resized(images: Tensor, size: int | None) -> Tensor:
    """B,3,H,W -> B,3,size,size, bilinear and antialiased; None leaves them as they are."""
    if size is None or tuple(images.shape[2:]) == (size, size):
        return images
    with torch.autocast(images.device.type, enabled=False):
        return functional.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
