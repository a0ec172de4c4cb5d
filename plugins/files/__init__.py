"""Image files as they are stored: pictures, TIFF, arrays of NumPy, MetaImage and NRRD."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .tiff import Tiff


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.files.add("tiff", Tiff)
