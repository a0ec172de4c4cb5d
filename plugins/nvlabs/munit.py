"""The checkpoint layout of the published MUNIT code: a generator is enc_style, enc_content, dec and mlp."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from .layout import TwoDomains
from .names import Shapes, decoder_name, decoder_options, encoder_name, encoder_options

ADAIN = re.compile(r"dec\.model\.0\.model\.\d+\.model\.\d\.conv\.bias$")


class NvlabsMunit(TwoDomains):
    """Reads and writes the published MUNIT layout."""

    recipe: ClassVar = "munit_edge2shoes"
    title: ClassVar = "the published MUNIT code"
    encoder: ClassVar = "enc_content"

    def generator_name(self, role: str, name: str, own: Iterable[str]) -> str | None:
        match role:
            case "content_encoder" | "style_encoder":
                return encoder_name(f"enc_{role.removesuffix('_encoder')}", name, own)
            case "decoder":
                return decoder_name(name, own)
        return None

    def generator_options(self, shapes: Shapes) -> dict[str, dict[str, Any]]:
        mlp_dim, style_dim = shapes["mlp.model.0.fc.weight"]
        return {
            "content_encoder": encoder_options(shapes, "enc_content"),
            "style_encoder": {"width": shapes["enc_style.model.0.conv.weight"][0], "dim": style_dim},
            "decoder": {**decoder_options(shapes), "style_dim": style_dim, "mlp_dim": mlp_dim},
        }

    def unflatten(self, part: str, tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """With the constant statistics of AdaIN layers, which the published code saves."""
        constants = {}
        for name, value in tensors.items():
            if ADAIN.search(name):
                norm = name.removesuffix("conv.bias") + "norm."
                constants[norm + "running_mean"] = torch.zeros(len(value), dtype=value.dtype)
                constants[norm + "running_var"] = torch.ones(len(value), dtype=value.dtype)
        return super().unflatten(part, tensors | constants)
