"""Image files of medicine: NIfTI (with MGH) and DICOM, as pictures, volumes and series."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .dicom import Dicom
from .nifti import Nifti


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.files.add("nifti", Nifti)
    catalog.files.add("dicom", Dicom)
