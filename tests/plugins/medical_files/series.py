"""DICOM files of a generated series."""

from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data import Codes

SERIES = "1.2.826.0.1.3680043.8.498.77"


def slice_file(path: Path, codes: Codes, position: Any, number: int, **tags: Any) -> Path:
    """A CT slice of rows,columns, uncompressed, with tags of one's own; None leaves one out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = 8 * codes.dtype.itemsize
    values = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": f"{SERIES}.{number}", "SeriesInstanceUID": SERIES,
        "StudyInstanceUID": f"{SERIES}.0", "FrameOfReferenceUID": f"{SERIES}.1", "PatientID": "P", "PatientName": "A",
        "Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "InstanceNumber": number,
        "ImagePositionPatient": list(map(float, position)), "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.7, 0.9], "SliceThickness": 3,
        "Rows": codes.shape[0], "Columns": codes.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(codes.dtype.kind == "i"), "RescaleSlope": 1, "RescaleIntercept": 0,
        "WindowCenter": 40, "WindowWidth": 400,
    }  # fmt: skip
    for name, value in {**values, **tags}.items():
        if value is not None:
            setattr(made, name, value)
    made.add_new("PixelData", "OW", codes.tobytes() + bytes(codes.nbytes % 2))
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)
    return path


def nine(folder: Path, codes: Codes, **tags: Any) -> list[Path]:
    """Slices z,rows,columns 3 mm apart whose names are shuffled and whose numbers run downwards; files by position."""
    folder.mkdir()
    names = np.random.default_rng(5).permutation(len(codes)).tolist()
    return [
        slice_file(folder / f"IM{name:03}", plane, (-30, -20, 3.0 * place), len(codes) - place, **tags)
        for place, (name, plane) in enumerate(zip(names, codes, strict=True))
    ]
