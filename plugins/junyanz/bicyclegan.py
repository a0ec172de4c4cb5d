"""The checkpoint layout of the published BicycleGAN code: `latest_net_G.pth`, `_E`, `_D`, `_D2`, bare state dicts.

    G    encoder, decoder       D    vae_discriminator
    E    code_encoder           D2   discriminator

Where one discriminator judges both, it is D and the role is discriminator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from torch import Tensor

from i2i_forge.errors import CheckpointError

from .code_encoders import encoder_in_order, encoder_name, encoder_options, is_code_encoder
from .names import Published, in_order
from .patchgan import discriminator_name, discriminator_options, is_discriminator, scales_of
from .unet import is_nested, is_sequential, unet_name, unet_options

PART = re.compile(r"(?:^|_)(G|E|D2|D)(?=[_.]|$)")
CODE_DIM = 8  # of all published models


class JunyanzBicyclegan(Published):
    """Reads and writes the published BicycleGAN layout."""

    parts: ClassVar = ("G", "E", "D", "D2")
    recipe: ClassVar = "bicyclegan_edges2shoes"
    title: ClassVar = "the published BicycleGAN code"
    wanted: ClassVar = "give the files *_net_G.pth, *_net_E.pth, *_net_D.pth and *_net_D2.pth of the published code"

    def part_of(self, content: Any, name: str) -> str:
        """By the content; of the two discriminators the one that the file's name says, D if it says nothing."""
        tensors = self.flatten(content, name)
        if is_code_encoder(tensors):
            kind = "E"
        elif is_nested(tensors) or (is_sequential(tensors) and _inputs(tensors) not in (1, 3)):
            kind = "G"
        elif is_discriminator(tensors):
            kind = "D"
        else:
            first = f"its first tensor is '{next(iter(tensors))}'"
            raise self.refused(name, "its U-Net takes no code" if is_sequential(tensors) else first)
        named = PART.search(PurePath(name).name)
        if named and named[1][0] != kind:
            raise CheckpointError(f"{name} holds {kind}, its name says {named[1]}", fix=f"rename it: *_net_{kind}.pth")
        return named[1] if named else kind

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """All options but dropout, which leaves no trace in a file and stays the recipe's.

        Discriminators of 6 channels (4 in grey) judge pairs: to train on, the recipe's terms name the logits of pairs.
        """
        found: dict[str, dict[str, Any]] = {}
        roles = {"E": "code_encoder", "D": "vae_discriminator", "D2": "discriminator"}
        for part in (part for part in ("E", "G", "D", "D2") if part in files):
            tensors = self.flatten(files[part], part)
            with self.told_by_shapes(part):
                if part == "G":
                    found |= _generator(tensors, found.get("code_encoder", {}).get("dim"))
                else:
                    found[roles[part]] = (encoder_options if part == "E" else discriminator_options)(tensors)
        return found

    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """The part by role, the name by the network's kind; the published code has one network of each."""
        role, _, name = key.partition(".")
        match role:
            case "encoder" | "decoder":
                part, published = "G", _generator_name(role, name, own)
            case "code_encoder":
                part, published = "E", encoder_name(name)
            case "discriminator" | "vae_discriminator":
                first = role == "vae_discriminator" or not any(k.startswith("vae_discriminator.") for k in own)
                part, published = "D" if first else "D2", discriminator_name(name, scales_of(own, f"{role}."))
            case _:
                return None
        return (part, published) if published else None

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A part's state dict."""
        return encoder_in_order(tensors) if part == "E" else in_order(tensors)


def _inputs(tensors: Mapping[str, Tensor]) -> int:
    return tensors["model.model.0.weight"].shape[1]


def _generator(tensors: Mapping[str, Tensor], code_dim: int | None) -> dict[str, dict[str, Any]]:
    """Encoder and decoder. A code that the input alone sees is told from the image by the length of E's, if E is given,
    or of the published ones."""
    if is_nested(tensors):
        code_dim = 0
    elif code_dim is None:
        code_dim = CODE_DIM if _inputs(tensors) - CODE_DIM in (1, 3) else _inputs(tensors) - 3
    options = unet_options(tensors, code_dim)
    if options["encoder"]["channels"] < 1:
        raise ValueError(f"its input has {_inputs(tensors)} channels, and the code alone {code_dim}")
    # Without `use` they change the recipe's, which has the dropout.
    return {role: {k: v for k, v in chosen.items() if k != "use"} for role, chosen in options.items()}


def _generator_name(role: str, name: str, own: Mapping[str, Tensor]) -> str | None:
    levels = len({key.split(".")[2] for key in own if key.startswith(("encoder.down.", "decoder.up."))})
    outer, inner = own.get("encoder.down.0.conv.weight"), own.get("encoder.down.1.conv.weight")
    image = own.get("decoder.up.0.conv.weight")
    if outer is None or inner is None or image is None:
        return None
    nested = inner.shape[1] > outer.shape[0]  # the second level sees the code too
    return unet_name(role, name, levels, nested=nested, bilinear=image.shape[-1] == 3)
