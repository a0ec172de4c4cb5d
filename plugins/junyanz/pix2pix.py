"""The checkpoint layout of the published pix2pix code: `latest_net_G.pth`, `latest_net_D.pth`, bare state dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from i2i_forge.errors import CheckpointError

from .names import Published, in_order
from .patchgan import discriminator_name, discriminator_options, is_discriminator, scales_of
from .unet import is_sequential, skip_first, unet_name, unet_options

WITH_CODE = (9, 11)  # channels of BicycleGAN's input: grey or RGB, and its code


class JunyanzPix2pix(Published):
    """Reads and writes the published pix2pix layout."""

    parts: ClassVar = ("G", "D")
    recipe: ClassVar = "pix2pix_facades"
    title: ClassVar = "the published pix2pix code"
    wanted: ClassVar = "give the files *_net_G.pth and *_net_D.pth of a U-Net generator and its discriminator"

    def part_of(self, content: Any, name: str) -> str:
        """G or D, by the names of the tensors."""
        tensors = super().flatten(content, name)
        if is_sequential(tensors):
            return "G"
        if is_discriminator(tensors):
            return "D"
        raise self.refused(name, f"its first tensor is '{next(iter(tensors))}'")

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """All options but those of dropout and of inference, which leave no trace in a file and stay the recipe's."""
        found: dict[str, dict[str, Any]] = {}
        for part, content in files.items():
            tensors = super().flatten(content, part)
            with self.told_by_shapes(part):
                found |= unet_options(tensors) if part == "G" else {"discriminator": discriminator_options(tensors)}
        if found.get("encoder", {}).get("channels") in WITH_CODE and found["decoder"]["channels"] == 3:
            raise CheckpointError(
                f"G sees images of {found['encoder']['channels']} channels, as one does whose input holds a code of 8",
                fix="a U-Net whose input holds a code as well is read as junyanz-bicyclegan",
            )
        if "discriminator" not in found and (pair := sum(self.ends(found).values())) != 6:
            found["discriminator"] = {"channels": pair}  # freshly drawn, for pairs
        return {role: options if role == "discriminator" else _changes(options) for role, options in found.items()}

    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """encoder and decoder are G, discriminator is D; the published code has one network of each."""
        role, _, name = key.partition(".")
        if role == "discriminator":
            published = discriminator_name(name, scales_of(own, "discriminator."))
            return ("D", published) if published else None
        if own[key].dim() == 4 and own[key].shape[-1] != 4:  # an interpolating decoder's convolutions are 3x3
            return None
        levels = len({k.split(".")[2] for k in own if k.startswith(("encoder.down.", "decoder.up."))})
        published = unet_name(role, name, levels, nested=False)
        return ("G", published) if published else None

    def flatten(self, content: Any, part: str) -> dict[str, Tensor]:
        """A part's tensors by name, the decoder's inputs in our order."""
        tensors = super().flatten(content, part)
        return skip_first(tensors) if part == "G" else tensors

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A part's state dict."""
        return in_order(skip_first(tensors) if part == "G" else tensors)


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    """Without `use` they change the recipe's options instead of replacing them."""
    return {name: value for name, value in options.items() if name != "use"}
