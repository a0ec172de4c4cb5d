"""How the walk over the catalog calls each network: with an image, or with what this table says."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SMALL = {"width": 4, "blocks": 1, "mlp_dim": 8, "layers": 3, "scales": 2, "levels": 5}  # where a network has the option

Inputs = Callable[[nn.Module, int], list[Tensor]]  # the network and the side of images -> flat list of tensors


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def image(network: nn.Module, side: int) -> list[Tensor]:
    return [torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1]


def content(network: nn.Module, side: int) -> list[Tensor]:
    """What a decoder's first layers take, as wide as its widest; and a style if it has one."""
    widest = max(m.in_channels for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    style_dim = inspect.signature(type(network)).parameters.get("style_dim")
    codes = [] if style_dim is None else [random(2, style_dim.default)]
    return [random(2, widest, side // 4, side // 4), *codes]


def unet_features(network: nn.Module, side: int) -> list[Tensor]:
    """What a U-Net decoder takes: half the side and the channels of each level, the outermost first."""
    layers: Any = network.up
    widths = [*(layer.conv.out_channels for layer in layers[1:]), layers[-1].conv.in_channels]
    return [random(2, width, side >> level + 1, side >> level + 1) for level, width in enumerate(widths)]


# (kind, name) -> the inputs of networks that take something else
INPUTS: dict[tuple[str, str], Inputs] = {
    ("encoders", "conditional_code"): lambda network, side: [*image(network, side), random(2, 3, side, side)],
    ("discriminators", "code_mlp"): lambda network, side: [random(2, network.dim)],
    ("decoders", "unet"): unet_features,
}
# those that take their inputs as one list
TAKES_A_LIST: set[tuple[str, str]] = {("decoders", "unet")}


def inputs_of(kind: str, name: str, network: nn.Module, side: int) -> list[Tensor]:
    return INPUTS.get((kind, name), content if kind == "decoders" else image)(network, side)


def run(kind: str, name: str, network: nn.Module, given: list[Tensor]) -> Any:
    return network(given) if (kind, name) in TAKES_A_LIST else network(*given)
