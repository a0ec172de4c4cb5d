"""The published names of BicycleGAN's encoders.

    residual_code           conv.0, then blocks conv.1 ... whose layers are conv.0, conv.2, conv.3, conv.5.0, shortcut.1
    convolutional_code      conv.0, then conv.2, conv.5 ... each followed by its norm

The heads are fc.0 for the mean and fcVar.0 for the log variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .names import batch_norm_at, in_order

HEADS = {"mean": "fc.0", "logvar": "fcVar.0"}
IN_A_BLOCK = {
    ("first", "norm"): "conv.0", ("first", "conv"): "conv.2",
    ("second", "norm"): "conv.3", ("second", "conv"): "conv.5.0",
}  # fmt: skip


def encoder_name(key: str) -> str | None:
    """The published name of a tensor of ours within an encoder ("blocks.0.first.conv.weight"), None if it has none."""
    match key.split("."):
        case ["mean" | "logvar" as head, name]:
            return f"{HEADS[head]}.{name}"
        case ["stem", name]:
            return f"conv.0.{name}"
        case ["blocks", block, "first" | "second" as which, "conv" | "norm" as layer, name]:
            return f"conv.{int(block) + 1}.{IN_A_BLOCK[which, layer]}.{name}"
        case ["blocks", block, "shortcut", name]:
            return f"conv.{int(block) + 1}.shortcut.1.{name}"
        case ["down", layer, "conv" | "norm" as kind, name]:
            return f"conv.{3 * int(layer) + 2 + (kind == 'norm')}.{name}"
    return None


def is_code_encoder(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file is such an encoder."""
    return "fc.0.weight" in tensors and "fcVar.0.weight" in tensors and "conv.0.weight" in tensors


def encoder_options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options, `use` included, from names and shapes. A KeyError when the file is no such encoder."""
    width, channels = tensors["conv.0.weight"].shape[:2]
    common = {"width": width, "dim": tensors["fc.0.weight"].shape[0], "channels": channels}
    if _is_residual(tensors):
        blocks = sum(name.endswith(".shortcut.1.weight") for name in tensors)
        norm = "batch" if batch_norm_at(tensors, "conv.1.conv.0.") else "instance"
        return {"use": "residual_code", "blocks": blocks, "norm": norm, **common}
    layers = sum(name.startswith("conv.") and value.dim() == 4 for name, value in tensors.items()) - 1
    norm = "batch" if batch_norm_at(tensors, "conv.3.") else "instance"
    return {"use": "convolutional_code", "layers": layers, "norm": norm, **common}


def encoder_in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in the published order: the heads of a residual encoder come first, of a convolutional one last."""
    ordered = in_order(tensors)
    if _is_residual(tensors):
        return ordered
    return dict(sorted(ordered.items(), key=lambda item: not item[0].startswith("conv.")))


def _is_residual(tensors: Mapping[str, Tensor]) -> bool:
    return any(".shortcut." in name for name in tensors)
