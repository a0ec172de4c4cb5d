"""A volume as a DICOM series. A DICOM file says whom and what it shows, so none can be made of a header alone."""

from __future__ import annotations

from pathlib import Path

from .body import Array


def write_series(folder: Path, volume: Array, spacing: tuple[float, float, float]) -> None:
    """Write a folder of one file for each slice. What is written is a function of the arguments.

    Args:
        folder: new; its name is that of the image, that of the folder around it the patient's.
        volume: uint8, uint16 or int16; slices go up, rows to the back, columns to the left.
        spacing: of slices, rows and columns, in millimetres.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, SecondaryCaptureImageStorage
    from pydicom.uid import generate_uid as uid

    kinds = {"ct": ("CT", CTImageStorage), "mr": ("MR", MRImageStorage), "mr2": ("MR", MRImageStorage)}
    name, patient, bits = folder.name, folder.parent.name, 8 * volume.itemsize
    modality, kind = kinds.get(name, ("OT", SecondaryCaptureImageStorage))
    srcs = ["i2i_forge phantom", patient]
    series = {
        "SOPClassUID": kind, "Modality": modality, "ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": name,
        "PatientID": patient, "PatientName": patient, "StudyInstanceUID": uid(entropy_srcs=srcs),
        "FrameOfReferenceUID": uid(entropy_srcs=[*srcs, "frame"]), "SeriesInstanceUID": uid(entropy_srcs=[*srcs, name]),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [*spacing[1:]], "SliceThickness": spacing[0],
        "Rows": volume.shape[1], "Columns": volume.shape[2], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(volume.dtype.kind == "i"), "RescaleSlope": 1, "RescaleIntercept": 0,
    }  # fmt: skip
    folder.mkdir()
    for place, plane in enumerate(volume.astype(volume.dtype.newbyteorder("<"))):
        instance = Dataset()
        for keyword, value in series.items():
            setattr(instance, keyword, value)
        instance.SOPInstanceUID = uid(entropy_srcs=[*srcs, name, str(place)])
        instance.InstanceNumber = place + 1
        instance.ImagePositionPatient = [0, 0, place * spacing[0]]
        instance.add_new("PixelData", "OB" if bits == 8 else "OW", plane.tobytes())
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.save_as(folder / f"{place:02}.dcm", enforce_file_format=True)
