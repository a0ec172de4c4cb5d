"""The checkpoint layout of the published CycleGAN code: `latest_net_G_A.pth` ... `_D_B.pth`, bare state dicts.

G_A leads from A to B and is judged by D_A, whose images are those of B:

    G_A   encoder.a, decoder.b        D_A   discriminator.b
    G_B   encoder.b, decoder.a        D_B   discriminator.a
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from torch import Tensor

from i2i_forge.errors import CheckpointError

from .names import Published, in_order
from .patchgan import discriminator_name, discriminator_options, is_discriminator, scales_of
from .resnet import depth_of, is_resnet, resnet_name, resnet_options
from .unet import is_sequential, skip_first, unet_name, unet_options

PART = re.compile(r"(?:^|_)([GD]_[AB])(?=[_.]|$)")
# part -> what it holds: role -> domain
HOLDS = {
    "G_A": {"encoder": "a", "decoder": "b"},
    "G_B": {"encoder": "b", "decoder": "a"},
    "D_A": {"discriminator": "b"},
    "D_B": {"discriminator": "a"},
}


class JunyanzCyclegan(Published):
    """Reads and writes the published CycleGAN layout."""

    parts: ClassVar = ("G_A", "G_B", "D_A", "D_B")
    recipe: ClassVar = "cyclegan_horse2zebra"
    title: ClassVar = "the published CycleGAN code"
    wanted: ClassVar = (
        "give files of the published code, of a ResNet or U-Net generator: *_net_G_A.pth, *_net_D_A.pth ..."
    )

    def part_of(self, content: Any, name: str) -> str:
        """By the file's name; a generator whose name does not tell, such as horse2zebra.pth, is G_A."""
        tensors = self.flatten(content, name)
        kind = "D" if is_discriminator(tensors) else "G" if is_resnet(tensors) or is_sequential(tensors) else ""
        if not kind:
            raise self.refused(name, f"its first tensor is '{next(iter(tensors))}'")
        named = PART.search(PurePath(name).name)
        if named and named[1][0] != kind:
            raise CheckpointError(
                f"{name} holds a {'generator' if kind == 'G' else 'discriminator'}, its name says {named[1]}",
                fix="rename it: G_A, G_B, D_A or D_B is a part of the name",
            )
        if named or kind == "G":
            return named[1] if named else "G_A"
        raise CheckpointError(
            f"{name}: its name does not tell which discriminator it holds",
            fix="name it *_D_A.pth if it judges images of B, *_D_B.pth if it judges images of A",
        )

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """All options but the share that dropout drops. A domain of which no file is given is like the other."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for part in sorted(files):
            options = self._options(part, self.flatten(files[part], part))
            for role, domain in HOLDS[part].items():
                found.setdefault(role, {})[domain] = options[role]
        networks, counts = {}, self.images(files)
        for role, domains in found.items():
            other = next(iter(domains.values()))
            a, b = (domains.get(domain) or _alike(role, other, counts.get(domain)) for domain in ("a", "b"))
            networks[role] = {"per": ["a", "b"], **a} if a == b else {"use": a["use"], "per": {"a": a, "b": b}}
        return networks

    def images(self, files: Mapping[str, Any]) -> dict[str, int]:
        """See Format. What makes the images of a domain tells more than what sees them, which may see them in grey."""
        seen, made = dict[str, int](), dict[str, int]()
        for part in sorted(part for part in files if part.startswith("G")):
            left, entered = HOLDS[part].values()
            ends = self.ends(self._options(part, self.flatten(files[part], part)))
            seen[left], made[entered] = ends["a"], ends["b"]
        return seen | made

    def _options(self, part: str, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
        with self.told_by_shapes(part):
            if part.startswith("D"):
                return {"discriminator": discriminator_options(tensors)}
            return unet_options(tensors) if is_sequential(tensors) else resnet_options(tensors)

    def place(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str] | None:
        """The part by role and domain; the name by the network's kind."""
        role, domain, name = [*key.split(".", 2), "", ""][:3]
        part = next((part for part, holds in HOLDS.items() if holds.get(role) == domain), None)
        if part is None:
            return None
        if role == "discriminator":
            published = discriminator_name(name, scales_of(own, f"{role}.{domain}."))
            return (part, published) if published else None
        encoder, decoder = (f"{role}.{domain}." for role, domain in HOLDS[part].items())
        if f"{decoder}to_image.conv.weight" in own:
            published = resnet_name(role, name, depth_of(own, encoder))
        else:
            levels = len({k.split(".")[3] for k in own if k.startswith((f"{encoder}down.", f"{decoder}up."))})
            published = unet_name(role, name, levels, nested=False)
        return (part, published) if published else None

    def flatten(self, content: Any, part: str) -> dict[str, Tensor]:
        """A part's tensors by name, a U-Net decoder's inputs in our order."""
        tensors = super().flatten(content, part)
        return skip_first(tensors) if is_sequential(tensors) else tensors

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A part's state dict."""
        return in_order(skip_first(tensors) if is_sequential(tensors) else tensors)


def _alike(role: str, options: dict[str, Any], channels: int | None) -> dict[str, Any]:
    """The options of the other domain's network, for images of so many channels, where that is known."""
    in_grey = role == "encoder" and options["channels"] == 1 and channels == 3
    return options if channels is None or in_grey else options | {"channels": channels}
