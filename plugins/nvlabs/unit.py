"""The checkpoint layout of UNIT as published with MUNIT: a generator is enc and dec, neither shared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from .layout import TwoDomains
from .names import Shapes, decoder_name, decoder_options, encoder_name, encoder_options


class NvlabsUnit(TwoDomains):
    """Reads and writes the published UNIT layout. UNIT of 2017 (`*.pkl`) is another model and another layout."""

    recipe: ClassVar = "unit_edges2shoes"
    title: ClassVar = "the published UNIT code"
    encoder: ClassVar = "enc"

    def generator_name(self, role: str, name: str, own: Iterable[str]) -> str | None:
        match role:
            case "encoder":
                return encoder_name("enc", name, own)
            case "decoder":
                return decoder_name(name, own)
        return None

    def generator_options(self, shapes: Shapes) -> dict[str, dict[str, Any]]:
        return {"encoder": encoder_options(shapes, "enc"), "decoder": decoder_options(shapes)}
