"""The published names of ResNet generators: model.N, and within a residual block conv_block.N."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .names import batch_norm_at


def resnet_name(network: str, key: str, depth: tuple[int, int]) -> str | None:
    """The published name of a tensor of ours, None if it has none.

    Args:
        network: encoder or decoder.
        key: the tensor within it: "blocks.3.change.1.conv.weight", "up.0.norm.bias".
        depth: how many downsamplings and residual blocks the encoder of this generator has.
    """
    downsamples, blocks = depth
    first_block = 4 + 3 * downsamples  # padding, then convolution, norm and activation again and again
    match network, *key.split("."):
        case "encoder", "stem", layer, name:
            index = 1
        case "encoder", "down", level, layer, name:
            index = 4 + 3 * int(level)
        case "encoder", "blocks", block, "change", place, layer, name:
            # Padding, convolution, norm, activation, padding, convolution, norm; a dropout before the second padding.
            within = {"0": 1, "1": 5, "2": 6}[place] + (layer == "norm")
            return f"model.{first_block + int(block)}.conv_block.{within}.{name}"
        case "decoder", "up", level, layer, name:
            index = first_block + blocks + 3 * int(level)
        case "decoder", "to_image", layer, name:
            index = first_block + blocks + 3 * downsamples + 1  # after its padding
        case _:
            return None
    return f"model.{index + (layer == 'norm')}.{name}"


def depth_of(own: Mapping[str, Tensor], encoder: str) -> tuple[int, int]:
    """How many downsamplings and residual blocks the encoder of ours has whose tensors start with `encoder`."""
    found = [re.match(rf"{re.escape(encoder)}(down|blocks)\.(\d+)\.", key) for key in own]
    levels = [{m[2] for m in found if m and m[1] == part} for part in ("down", "blocks")]
    return len(levels[0]), len(levels[1])


def is_resnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is such a generator."""
    return "model.1.weight" in tensors and any(".conv_block." in name for name in tensors)


def resnet_options(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """The options of encoder and decoder, `use` included, from names and shapes.

    A KeyError or ValueError when the file is no such generator. The share that dropout drops leaves no trace in a file,
    only that there is dropout: it is 0.5 in the published code.
    """
    blocks = sorted({int(m[1]) for name in tensors if (m := re.match(r"model\.(\d+)\.conv_block\.", name))})
    downsamples, rest = divmod(blocks[0] - 4, 3)
    last = tensors[f"model.{blocks[-1] + 3 * downsamples + 2}.weight"]
    if rest or blocks != list(range(blocks[0], blocks[-1] + 1)):
        raise ValueError(f"its residual blocks are at the places {blocks}")
    width, seen = tensors["model.1.weight"].shape[:2]
    bias = "model.1.bias" in tensors
    norm = "batch" if batch_norm_at(tensors, "model.2.") else "instance" if bias else "none"
    common = {"use": "resnet", "width": width, "norm": norm, "bias": bias}
    encoder = common | {"downsamples": downsamples, "blocks": len(blocks), "channels": seen}
    after_dropout = tensors.get(f"model.{blocks[0]}.conv_block.6.weight")  # or the norm after the second convolution
    if after_dropout is not None and after_dropout.dim() == 4:
        encoder["dropout"] = 0.5
    return {"encoder": encoder, "decoder": common | {"upsamples": downsamples, "channels": last.shape[0]}}
