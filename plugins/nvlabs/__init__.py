"""Checkpoints of the published MUNIT and UNIT programs."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .munit import NvlabsMunit
from .unit import NvlabsUnit


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.formats.add("nvlabs-munit", NvlabsMunit)
    catalog.formats.add("nvlabs-unit", NvlabsUnit)
