"""Checkpoints of the published pix2pix, BicycleGAN and CycleGAN programs."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .bicyclegan import JunyanzBicyclegan
from .cyclegan import JunyanzCyclegan
from .pix2pix import JunyanzPix2pix


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.formats.add("junyanz-pix2pix", JunyanzPix2pix)
    catalog.formats.add("junyanz-cyclegan", JunyanzCyclegan)
    catalog.formats.add("junyanz-bicyclegan", JunyanzBicyclegan)
