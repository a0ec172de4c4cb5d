"""The options of networks that a file of the published Augmented CycleGAN code fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
LAST_OF_BLOCK = re.compile(r"model\.\d+\.conv_block\.(\d+)\.scale")


def network_options(shapes: Shapes) -> dict[str, dict[str, Any]]:
    """The `networks` section, from names and shapes. Raises KeyError, ValueError or IndexError for other files."""
    found: dict[str, dict[str, Any]] = {"encoder": {"per": {}}, "decoder": {"per": {}}}
    for network, left, entered in (("netG_A_B", "a", "b"), ("netG_B_A", "b", "a")):
        encoder, decoder = _generator(_of(network, shapes))
        found["encoder"]["per"][left], found["decoder"]["per"][entered] = encoder, decoder
    found["decoder"]["per"] = dict(sorted(found["decoder"]["per"].items()))
    judges = {"a": ("netD_A", "whole_image"), "b": ("netD_B", "affine_patch")}
    if all(_of(network, shapes) for network, _ in judges.values()):
        found["discriminator"] = {
            "per": {
                domain: {
                    "use": use,
                    "width": shapes[f"{net}.model.0.weight"][0],
                    "channels": shapes[f"{net}.model.0.weight"][1],
                }
                for domain, (net, use) in judges.items()
            }
        }
    if inner := _of("netE_B", shapes):
        width, inputs = inner["conv_modules.0.weight"][:2]
        other, own = (shapes[f"{generator}.model.1.weight"][1] for generator in ("netG_A_B", "netG_B_A"))
        found["code_encoder"] = {
            "width": width, "dim": inner["enc_mu.weight"][0], "conditional": inputs == own + other,
            "channels": own if own == other else [own, other],
        }  # fmt: skip
    if inner := _of("netD_z_B", shapes):
        width, dim = inner["model.0.weight"]
        found["code_discriminator"] = {"width": width, "dim": dim}
    return found


def _of(network: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    return {name.removeprefix(f"{network}."): s for name, s in shapes.items() if name.startswith(f"{network}.")}


def _generator(shapes: Shapes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of its two halves."""
    width, channels = shapes["model.1.weight"][:2]
    ends = [int(found[1]) for name in shapes if (found := LAST_OF_BLOCK.fullmatch(name))]
    code_dim = shapes.get("model.2.shift_conv.0.weight", (0, 0))[1]
    last = max(int(name.split(".")[1]) for name in shapes)
    encoder = {
        "width": width, "blocks": len(ends), "channels": channels, "code_dim": code_dim,
        "dropout": 0.5 if 6 in ends else 0.0,
    }  # fmt: skip
    return encoder, {"width": width, "channels": shapes[f"model.{last}.weight"][0], "code_dim": code_dim}
