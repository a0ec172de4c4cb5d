"""Checkpoints of the published Augmented CycleGAN program."""

from __future__ import annotations

from i2i_forge.catalog.hookspecs import hookimpl
from i2i_forge.catalog.registry import Catalog

from .layout import AugmentedCycleGanFormat


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.formats.add("augmented-cyclegan", AugmentedCycleGanFormat)
