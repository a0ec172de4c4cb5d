"""The published names of U-Nets. There are two layouts, both one module inside another:

sequential      model.model.1.model.3 ...           pix2pix; BicycleGAN where only the input sees the code
nested          model.submodule.submodule ...       BicycleGAN where every level sees the code
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .names import LEAVES, batch_norm_at

# The upward convolutions that see a skip connection too: all but the innermost, which is number 3 of its level.
WAYS = {"encoder": "down", "decoder": "up"}
WITH_SKIP = re.compile(r"^model\.model\.3\.weight$|\.model\.5\.weight$")


def unet_name(network: str, key: str, levels: int, *, nested: bool, bilinear: bool = False) -> str | None:
    """The published name of a tensor of ours, None if it has none.

    Args:
        network: encoder or decoder.
        key: the tensor within it: "down.3.conv.weight", "up.0.conv.bias".
        levels: of the U-Net.
        nested: which layout.
        bilinear: whether the decoder enlarges by interpolation, which counts as two layers.
    """
    match key.split("."):
        case [way, level, "conv" | "norm" as layer, name] if way == WAYS.get(network) and name in LEAVES:
            norm, later = int(layer == "norm"), 2 * bilinear
        case _:
            return None
    depth = int(level)
    if nested:
        index = norm + (int(depth > 0) if way == "down" else 1 + later)
        return f"model.{'submodule.' * depth}{way}.{index}.{name}"
    if way == "down":
        index = norm + int(depth > 0)
    else:
        index = norm + later + (3 if depth in (0, levels - 1) else 5)
    return f"{level_prefix(depth)}{index}.{name}"


def level_prefix(level: int) -> str:
    """Where the layers of a level are in the sequential layout."""
    return "model.model." + ("1.model." + "3.model." * (level - 1) if level else "")


def skip_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The upward convolutions with their two halves of inputs exchanged: pix2pix puts the skip connection first, we
    put it last. Its own reverse."""
    return {
        name: torch.cat(value.chunk(2)[::-1]) if WITH_SKIP.search(name) else value for name, value in tensors.items()
    }


def is_nested(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is a U-Net of the nested layout."""
    return "model.down.0.weight" in tensors


def is_sequential(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is a U-Net of the sequential layout."""
    return "model.model.0.weight" in tensors


def unet_options(tensors: Mapping[str, Tensor], code_dim: int = 0) -> dict[str, dict[str, Any]]:
    """The options of encoder and decoder, `use` included, from names and shapes. Dropout leaves no trace in a file.

    Args:
        tensors: of the file. A KeyError when it is no U-Net, a ValueError when its numbers do not fit together.
        code_dim: length of the code, where the input alone sees it; elsewhere it is read from the shapes.
    """
    nested = is_nested(tensors)
    outermost = tensors["model.down.0.weight" if nested else "model.model.0.weight"]
    width, seen = outermost.shape[:2]
    levels = _levels(tensors, nested)
    if nested:
        code_dim = tensors["model.submodule.down.1.weight"].shape[1] - width
    up = "model.up." if nested else "model.model."
    bilinear = f"{up}{3 if nested else 5}.weight" in tensors
    channels = tensors[f"{up}{(3 if nested else 5) if bilinear else (1 if nested else 3)}.bias"].shape[0]
    inner = "model.submodule.down." if nested else level_prefix(1)
    bias = f"{inner}1.bias" in tensors
    if batch_norm_at(tensors, f"{inner}2."):
        norm = "batch"
    else:  # pix2pix drops the bias before a batch norm, and where there is no norm
        norm = "instance" if bias else "none"
    common = {"use": "unet", "width": width, "levels": levels, "norm": norm, "bias": bias}
    encoder = common | {"channels": seen - code_dim, "code_dim": code_dim, "code_at": "all" if nested else "input"}
    decoder = common | {"channels": channels, "upsample": "bilinear" if bilinear else "transposed"}
    if not code_dim:
        encoder = {name: value for name, value in encoder.items() if not name.startswith("code")}
    return {"encoder": encoder, "decoder": decoder}


def _levels(tensors: Mapping[str, Tensor], nested: bool) -> int:
    level = 1
    while (f"model.{'submodule.' * level}down.1.weight" if nested else f"{level_prefix(level)}1.weight") in tensors:
        level += 1
    if level < 3:
        raise ValueError(f"a U-Net of {level} levels")
    return level
