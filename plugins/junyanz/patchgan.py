"""The published names of patch and pixel discriminators: model.N, model_SCALE.N, net.N."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .names import LEAVES, batch_norm_at


def discriminator_name(key: str, scales: int) -> str | None:
    """The published name of a tensor of ours within a discriminator ("scales.0.2.conv.weight"), None if it has none.

    Args:
        key: the tensor.
        scales: how many scales the discriminator has.
    """
    match key.split("."):
        case ["scales", scale, block, "conv" | "norm" as layer, name] if name in LEAVES:
            place = "model" if scales == 1 else f"model_{scale}"
        case ["blocks", block, "conv" | "norm" as layer, name] if name in LEAVES:
            place = "net"
        case _:
            return None
    # A convolution and its activation, then convolution, norm and activation again and again.
    index = (3 * int(block) - 1 if block != "0" else 0) + (layer == "norm")
    return f"{place}.{index}.{name}"


def scales_of(own: Mapping[str, Tensor], prefix: str) -> int:
    """How many scales the discriminator of ours has whose tensors start with `prefix`: "discriminator."."""
    return len({m[1] for key in own if (m := re.match(rf"{re.escape(prefix)}scales\.(\d+)\.", key))})


def is_discriminator(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is such a discriminator."""
    return any(f"{place}.0.weight" in tensors for place in ("model", "model_0", "net"))


def discriminator_options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options, `use` included, from names and shapes. A KeyError when the file is no such discriminator."""
    if "net.0.weight" in tensors:
        width, channels = tensors["net.0.weight"].shape[:2]
        return {"use": "pixel", "width": width, "channels": channels} | _norm(tensors, "net.")
    scales = len({name.partition(".")[0] for name in tensors})
    place = "model." if scales == 1 else "model_0."
    width, channels = tensors[f"{place}0.weight"].shape[:2]
    convolutions = sum(name.startswith(place) and tensors[name].dim() == 4 for name in tensors)
    return {
        "use": "patchgan", "width": width, "layers": convolutions - 2, "scales": scales, "channels": channels,
    } | _norm(tensors, place)  # fmt: skip


def _norm(tensors: Mapping[str, Tensor], place: str) -> dict[str, Any]:
    bias = f"{place}2.bias" in tensors
    norm = "batch" if batch_norm_at(tensors, f"{place}3.") else "instance" if bias else "none"
    return {"norm": norm, "bias": bias}
