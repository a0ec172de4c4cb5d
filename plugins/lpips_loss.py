"""LPIPS (Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric).

The trunk is torchvision's network, read from a file; the linear weights are those that the `lpips` package ships. The
package itself is not imported: it would bring scipy, and it fetches the trunk from the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i_forge.errors import DataError
from i2i_forge.foreign import read_foreign
from i2i_forge.hookspecs import hookimpl
from i2i_forge.paths import weights_file
from i2i_forge.precision import autocast, full

EPS = 1e-10  # of the package; others differ


@dataclass(frozen=True)
class Trunk:
    """A network of torchvision, the layers of its `features` that are compared, and its file."""

    model: str
    taps: tuple[int, ...]
    file: str


TRUNKS = {
    "alex": Trunk("alexnet", (1, 4, 7, 9, 11), "alexnet-owt-7be5be79.pth"),
    "vgg": Trunk("vgg16", (3, 8, 15, 22, 29), "vgg16-397923af.pth"),
    "squeeze": Trunk("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), "squeezenet1_1-b8a52dc0.pth"),
}


class LpipsNetwork(nn.Module):
    """The distance of two images, frozen: sum over layers of the mean over places of sum_c w_c (f_c - g_c)^2 (eq. 1).

    f and g are the images' activations, at each place divided by their length over the channels (+ 1e-10).

    Args:
        net: alex, vgg, squeeze.
        version: 0.1, or 0.0: other linear weights, and images that are not brought to ImageNet's mean and deviation.
        trunk: state dict of torchvision's network; what is not in its `features` is ignored.
    """

    def __init__(self, net: str, version: str, trunk: Mapping[str, Tensor]) -> None:
        super().__init__()
        from torchvision import models  # slow to import

        with torch.device("meta"):  # the values come from the file
            model = getattr(models, TRUNKS[net].model)(weights=None)
        self.taps = TRUNKS[net].taps
        self.trunk = model.features[: self.taps[-1] + 1].eval()
        needed = {name: trunk.get(f"features.{name}", torch.empty(0)).clone() for name in self.trunk.state_dict()}
        self.trunk.load_state_dict(needed, assign=True)
        linear = read_foreign(str(metadata.distribution("lpips").locate_file(f"lpips/weights/v{version}/{net}.pth")))
        for index in range(len(self.taps)):
            self.register_buffer(f"linear_{index}", linear[f"lin{index}.model.1.weight"])
        scaled = version == "0.1"
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188] if scaled else [0.0] * 3)[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450] if scaled else [1.0] * 3)[:, None, None])
        self.requires_grad_(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W in [-1, 1] -> the compared activations, of length 1 at each place."""
        x, found = (full(x) - self.shift) / self.scale, []
        with autocast(x.device, "fp32"):
            for index, layer in enumerate(self.trunk):
                x = layer(x)
                if index in self.taps:  # a norm, not the root of a sum: its gradient exists where all channels are 0
                    found.append(x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + EPS))
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two batches of images, N,3,H,W in [-1, 1] -> N distances."""
        layers = []
        for index, (f, g) in enumerate(zip(self.features(x), self.features(y), strict=True)):
            layers.append(((f - g).square() * self.get_buffer(f"linear_{index}")).sum(1).mean((1, 2)))
        return torch.stack(layers).sum(0)


class Lpips(nn.Module):
    """LPIPS of two batches, mean over the batch (Zhang et al. 2018, eq. 1; LpipsNetwork has the formula).

    Args:
        net: alex, vgg, squeeze.
        version: 0.1, or 0.0 of the first release, with which BicycleGAN and MUNIT measured.
        trunk: the file of torchvision's weights, or its name in the cache; none: torchvision's name for the network.
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
        return self.network(input, target).mean()


def read_lpips(net: str = "alex", version: str = "0.1", trunk: str | None = None) -> LpipsNetwork:
    """The network with the trunk in a file. Raises DataError when the file is not there or is another network."""
    if net not in TRUNKS or version not in ("0.0", "0.1"):
        raise ValueError(f"net '{net}' and version '{version}': it must be one of {', '.join(TRUNKS)}; 0.1 or 0.0")
    known = TRUNKS[net]
    file = weights_file(trunk or known.file)
    if not file.is_file():
        raise DataError(
            f"lpips needs torchvision's weights of {known.model}, and {file} does not exist",
            fix=f"put torchvision's file {known.file} (a state dict with features.0.weight ...) there",
        )
    content: Any = read_foreign(file)
    try:
        return LpipsNetwork(net, version, content)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is not torchvision's {known.model} ({str(error).splitlines()[-1].strip()[:120]})",
            fix=f"give the file {known.file}, or the net that the file is of: {', '.join(TRUNKS)}",
        ) from None


@hookimpl
def register_components(catalog):
    catalog.losses.add("lpips", Lpips)
