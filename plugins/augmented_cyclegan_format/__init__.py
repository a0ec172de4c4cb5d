"""Checkpoints of the published Augmented CycleGAN program."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .layout import AugmentedCycleGanFormat


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.formats.add("augmented-cyclegan", AugmentedCycleGanFormat)
