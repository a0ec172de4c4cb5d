"""What the published MUNIT and UNIT programs call the layers of their networks, and in which order they list them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]

SPECTRAL = {
    "conv.parametrizations.weight.original": "conv.module.weight_bar",
    "conv.parametrizations.weight.0._u": "conv.module.weight_u",
    "conv.parametrizations.weight.0._v": "conv.module.weight_v",
}
ORDER = ("enc_style", "enc_content", "enc", "dec", "mlp", "cnns")
# fmt: off
RANKS = (  # the order of names within a layer
    "model", "norm", "activation", "conv", "fc", "module", "gamma", "beta", "weight", "bias",
    "weight_u", "weight_v", "weight_bar", "running_mean", "running_var", "num_batches_tracked",
)
# fmt: on


def in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Encoders before decoder before MLP, layers by number, norm before activation before convolution."""
    return dict(sorted(tensors.items(), key=lambda item: _rank(item[0])))


def encoder_name(module: str, name: str, own: Iterable[str]) -> str | None:
    """`stem.conv.weight` of an encoder -> `enc_content.model.0.conv.weight`.

    Args:
        module: theirs, "enc_content".
        name: ours, within the network.
        own: the names of the whole network.
    """
    downs = len({each.split(".")[1] for each in own if each.startswith("down.")})
    match name.split("."):
        case "stem", *rest:
            published = [0, *rest]
        case "down", index, *rest:
            published = [int(index) + 1, *rest]
        case "blocks", index, ("first" | "second") as which, *rest:
            published = [downs + 1, "model", index, "model", _PLACE[which], *rest]
        case "to_code", *rest:
            published = [downs + 2, *rest]
        case _:
            return None
    return ".".join(map(str, [module, "model", *published]))


def decoder_name(name: str, own: Iterable[str]) -> str | None:
    """`to_image.conv.weight` of a decoder -> `dec.model.5.conv.weight`."""
    ups = len({each.split(".")[1] for each in own if each.startswith("up.")})
    match name.split("."):
        case "blocks", index, ("first" | "second") as which, *rest:
            published = ["dec.model.0.model", index, "model", _PLACE[which], *rest]
        case "up", index, *rest:
            published = ["dec.model", 2 * int(index) + 2, *rest]
        case "to_image", *rest:
            published = ["dec.model", 2 * ups + 1, *rest]
        case "mlp", index, layer, *rest:
            published = ["mlp.model", index, "fc" if layer == "linear" else layer, *rest]
        case _:
            return None
    return ".".join(map(str, published))


def discriminator_name(name: str, own: Iterable[str]) -> str | None:
    """`scales.0.1.conv.weight` of a discriminator -> `cnns.0.1.conv.weight`."""
    top, _, published = name.partition(".")
    if top != "scales":
        return None
    for ours, theirs in SPECTRAL.items():
        published = published.replace(ours, theirs)
    if f"{name.rpartition('.')[0]}.parametrizations.weight.original" in own:
        published = published.replace("conv.bias", "conv.module.bias")
    return f"cnns.{published}"


def encoder_options(shapes: Shapes, module: str) -> dict[str, Any]:
    """Width, downsamples and blocks of a content encoder. Raises KeyError, ValueError."""
    return {
        "width": shapes[f"{module}.model.0.conv.weight"][0],
        "downsamples": max(_numbers(shapes, rf"{module}\.model\.(\d+)\.conv\.")),
        "blocks": len(_numbers(shapes, rf"{module}\.model\.\d+\.model\.(\d+)\.")),
    }


def decoder_options(shapes: Shapes) -> dict[str, Any]:
    """Width, upsamples and blocks of a decoder. Raises KeyError, ValueError."""
    last = max(_numbers(shapes, r"dec\.model\.(\d+)\.conv\."))
    return {
        "width": shapes[f"dec.model.{last}.conv.weight"][1],
        "upsamples": (last - 1) // 2,
        "blocks": len(_numbers(shapes, r"dec\.model\.0\.model\.(\d+)\.")),
    }


def discriminator_networks(shapes: Shapes) -> dict[str, dict[str, Any]]:
    """Width, layers, scales and norm of a discriminator, as a recipe's section. Raises KeyError, ValueError."""
    options = {
        "width": shapes["cnns.0.0.conv.weight"][0],
        "layers": max(_numbers(shapes, r"cnns\.0\.(\d+)\.")),
        "scales": 1 + max(_numbers(shapes, r"cnns\.(\d+)\.")),
        "norm": "spectral" if any("weight_bar" in name for name in shapes) else "none",
    }
    return {"discriminator": options}


_PLACE = {"first": 0, "second": 1}


def _numbers(names: Iterable[str], pattern: str) -> set[int]:
    return {int(found[1]) for name in names if (found := re.match(pattern, name))}


def _rank(name: str) -> tuple[Any, ...]:
    top, *rest = name.split(".")
    return ORDER.index(top), *((0, int(part)) if part.isdigit() else (1, RANKS.index(part)) for part in rest)
