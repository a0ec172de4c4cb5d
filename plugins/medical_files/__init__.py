"""Image files of medicine: NIfTI (with MGH) and DICOM, as pictures, volumes and series."""

from __future__ import annotations

from i2i_forge import Catalog, hookimpl

from .dicom import Dicom
from .nifti import Nifti


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.files.add("nifti", Nifti)
    catalog.files.add("dicom", Dicom)


TRIED = ("runs", "knows_its_own", "header_is_true", "regions", "comes_back", "goes_to_workers", "damage_is_found")
CHECKS = {
    "dicom": {"skip": dict.fromkeys(TRIED, "a DICOM file is written only like another, which says whom it shows")}
}
