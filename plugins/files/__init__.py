"""Image files as they are stored: pictures, TIFF, arrays of NumPy, MetaImage and NRRD."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .arrays import Npy, Npz
from .meta_image import MetaImage
from .nrrd import Nrrd
from .picture import Picture
from .tiff import Tiff


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.files.add("meta", MetaImage)
    catalog.files.add("npy", Npy)
    catalog.files.add("npz", Npz)
    catalog.files.add("nrrd", Nrrd)
    catalog.files.add("picture", Picture)
    catalog.files.add("tiff", Tiff)
