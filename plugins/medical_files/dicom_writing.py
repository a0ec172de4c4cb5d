"""Derived DICOM files: the patient, the study and the geometry of others, with new pixels. DICOM PS3.3 C.7.6.1."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from i2i_forge.data import Codes, Header
from i2i_forge.errors import DataError

from .dicom_dataset import dataset
from .dicom_picture import PIXELS
from .quiet import quietly

if TYPE_CHECKING:
    from .dicom import StoredDicom

DTYPES = ("uint8", "int16", "uint16")
OTHERWISE = "write NIfTI: `write: {as: nifti}`"
OF_THE_SOURCE = (  # tags that are true of its codes alone
    *PIXELS, "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTSequence", "VOILUTFunction",
    "SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "PlanarConfiguration", "IconImageSequence",
    "RealWorldValueMappingSequence",
)  # fmt: skip


def write_like(path: Path, codes: Codes, header: Header, like: StoredDicom) -> None:
    """Write a file, or a folder with a file for each of a series, whose names count them by position.

    The new UIDs are functions of the old ones and of the codes: the same translation has the same UIDs.
    """
    planes = _planes(path, codes, header, like)
    digest = hashlib.blake2b(repr((header.slope, header.offset)).encode())
    digest.update(np.ascontiguousarray(codes).data)
    places: dict[Path, list[int]] = {}
    for place, frame in enumerate(like.frames):
        places.setdefault(frame.path, []).append(place)
    for number, (source, held) in enumerate(places.items(), 1):
        with quietly(source):
            found = dataset(source, deferred=False)
            if "DoseGridScaling" in found or found.BitsAllocated == 1:
                raise _refused(path, f"{source.name} is a {found.SOPClassUID.name}, which is not written")
            _derive(found, planes[sorted(held, key=lambda place: like.frames[place].index)], header, digest.hexdigest())
            written = _encoded(found)
        if like.path.is_dir():
            path.mkdir(exist_ok=number > 1)
        with (path / f"{number:04d}.dcm" if like.path.is_dir() else path).open("xb") as file:
            file.write(written)


def _planes(path: Path, codes: Codes, header: Header, like: StoredDicom) -> Codes:
    """The codes as the files of `like` have them: k,j,i."""
    if header.dtype not in DTYPES:
        raise DataError(f"{path}: DICOM images hold {', '.join(DTYPES)}, not {header.dtype}",
                        fix="set `write: {dtype: int16}`, or " + OTHERWISE)  # fmt: skip
    if len(header.channels) != 1:
        raise _refused(path, "DICOM holds one channel")
    if header.shape != like.header.shape:
        raise DataError(f"{path}: {header.shape} values cannot lie where {like.path} has {like.header.shape}",
                        fix="write like the file that was translated")  # fmt: skip
    volume = np.moveaxis(codes if header.axes else codes[None], -3, 0)
    return (like.orientation.turn_back(volume) if like.orientation else volume)[0]


def _derive(found: Any, frames: Codes, header: Header, digest: str) -> None:
    """Make a data set one of another image of the same place: frames,rows,columns."""
    from pydicom.uid import generate_uid

    found.remove_private_tags()
    for tag in list(found.keys()):
        if tag.group & 0xFF00 in (0x5000, 0x6000):  # curves, overlays
            del found[tag]
    for name in OF_THE_SOURCE:
        if name in found:
            del found[name]
    for name in ("SeriesInstanceUID", "SOPInstanceUID"):
        setattr(found, name, generate_uid(entropy_srcs=[str(found.get(name, "")), digest]))
    found.ImageType = ["DERIVED", "SECONDARY"]
    found.SeriesDescription = "synthetic by i2i_forge"
    found.SamplesPerPixel = 1
    found.PhotometricInterpretation = "MONOCHROME1" if header.polarity == "white_is_low" else "MONOCHROME2"
    bits = 8 * frames.dtype.itemsize
    found.BitsAllocated, found.BitsStored, found.HighBit = bits, bits, bits - 1
    found.PixelRepresentation = int(frames.dtype.kind == "i")
    _rescale(found, header)
    padding = [int(code) for code in header.nodata if code in range(*_ends(frames.dtype))]
    if padding and padding == list(range(padding[0], padding[-1] + 1)):
        for name, code in (("PixelPaddingValue", padding[0]), ("PixelPaddingRangeLimit", padding[-1])):
            found.add_new(name, "SS" if found.PixelRepresentation else "US", code)
    values = frames.astype(frames.dtype.newbyteorder("<")).tobytes()
    found.add_new("PixelData", "OW", values + b"\0" * (len(values) % 2))


def _ends(dtype: np.dtype[Any]) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) + 1


def _rescale(found: Any, header: Header) -> None:
    """Say slope and offset, in an enhanced object by the functional groups that all its frames share."""
    from pydicom import Dataset
    from pydicom.valuerep import DSfloat

    shared = found.get("SharedFunctionalGroupsSequence") or []
    for group in [*shared, *(found.get("PerFrameFunctionalGroupsSequence") or ())]:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence", "RealWorldValueMappingSequence"):
            if name in group:
                del group[name]
    values = Dataset() if shared else found
    values.RescaleSlope = DSfloat(header.slope[0], auto_format=True)
    values.RescaleIntercept = DSfloat(header.offset[0], auto_format=True)
    values.RescaleType = header.unit if header.unit == "HU" else "US"  # unspecified
    if shared:
        shared[0].PixelValueTransformationSequence = [values]


def _encoded(found: Any) -> bytes:
    """A data set as the bytes of a file, whatever the encoding it was read in."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, found, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def _refused(path: Path, cause: str) -> DataError:
    return DataError(f"{path}: {cause}", fix=OTHERWISE)
