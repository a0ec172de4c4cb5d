"""A component under test, with everything that is known of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from i2i_forge.catalog.loading import Host, Plugin
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.testing.example import Example

SMALL: Mapping[str, Any] = {  # options that make networks small, where they have them
    "width": 4, "blocks": 1, "layers": 3, "levels": 5, "scales": 2, "mlp_dim": 8, "hidden": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        kind, name: of the catalog.
        component: the class or function.
        plugin: that brings it.
        host: all plugins, so that recipes work.
        example: how it is built and called.
    """

    kind: str
    name: str
    component: Any
    plugin: Plugin
    host: Host
    example: Example

    def options(self) -> dict[str, Any]:
        """What it is built with: the example's options, and small ones where it has them."""
        known = inspect.signature(self.component).parameters
        return {**{key: value for key, value in SMALL.items() if key in known}, **self.example.options}

    def build(self) -> Any:
        """A new instance, the same every time."""
        with seeded(0, torch.device("cpu")):
            return self.component(**self.options())
