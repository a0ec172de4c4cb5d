"""What one DICOM file says: how its codes are stored, what they mean, and where its frames lie in the patient.

Tags are those of DICOM PS3.3: C.7.6.3 (pixels), C.7.6.2 (plane), C.11.1 (rescaling), C.7.6.16 (functional groups of
frames), C.8.8.3 (dose), C.8.20.2 (segmentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data import Header, bad, check_file, check_size

from .dicom_dataset import DEFLATED, dataset, number_of, numbers_of
from .quiet import quietly

PIXELS = {"PixelData": "", "FloatPixelData": "float32", "DoubleFloatPixelData": "float64"}
UNKNOWN_LENGTH = 0xFFFFFFFF  # of encapsulated pixels


@dataclass(frozen=True)
class Frame:
    """One plane of a DICOM file.

    Attributes:
        path, index: its file, and its place in it.
        begins: where in the file its codes begin; -1 where they have to be decoded.
        position: of the centre of its first pixel, in LPS millimetres; () where the file does not say it.
        directions: cosines along which columns count (three), and rows (three); ().
        spacing: of rows and columns in millimetres; ().
        slope, offset: the quantity is slope * code + offset.
        padding: codes that stand for no value.
        order: "<" or ">", of the bytes of codes.
        syntax: the transfer syntax; "" where the file does not say it.
        number: its InstanceNumber.
    """

    path: Path
    index: int
    begins: int
    position: tuple[float, ...]
    directions: tuple[float, ...]
    spacing: tuple[float, ...]
    slope: float
    offset: float
    padding: tuple[float, ...]
    order: str
    syntax: str
    number: int


@dataclass(frozen=True)
class Layout:
    """What codes are: equal for the files of a series.

    Attributes:
        dtype: NumPy's name of the codes' type.
        bits, high: how many bits are used, and which is the highest of them.
        photometric: DICOM's name of how they are shown: MONOCHROME1, RGB.
    """

    rows: int
    columns: int
    samples: int
    dtype: str
    bits: int
    high: int
    photometric: str

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} {self.photometric}, {self.bits} bits of {self.dtype}"

    def used(self, codes: Any) -> Any:
        """Codes without the bits that are not theirs (overlays, mostly); their highest gives the sign."""
        allocated = 8 * codes.dtype.itemsize
        if codes.dtype.kind == "f" or self.bits >= allocated:
            return codes
        return (codes << (allocated - 1 - self.high)) >> (allocated - self.bits)


@dataclass(frozen=True)
class Picture:
    """A DICOM file, but for its codes.

    Attributes:
        series: SeriesInstanceUID, with the description.
        thickness: from slice to slice, as far as this file says it, in millimetres; 0 where it does not.
    """

    path: Path
    series: str
    layout: Layout
    frames: tuple[Frame, ...]
    thickness: float
    unit: str


def picture(path: Path) -> Picture:
    """What a file says.

    Raises:
        BadImage: it is damaged, or holds no pixels, or what cannot be read as one: a mosaic, values behind a table.
        DataError: it cannot be read.
    """
    size = check_file(path)
    with quietly(path):
        found = dataset(path)
        _check_kind(path, found)
        layout = _layout(path, found)
        frames = _frames(path, found, layout, size)
        series = f"{found.get('SeriesInstanceUID', '')} {found.get('SeriesDescription', '')}".strip()
        thickness = number_of(found, "SpacingBetweenSlices") or number_of(found, "SliceThickness") or 0.0
        return Picture(path, series, layout, frames, abs(thickness), _unit(found))


def _check_kind(path: Path, found: Any) -> None:
    if "DirectoryRecordSequence" in found:
        raise bad(path, "is a DICOMDIR: a list of files", "name the folder of a series")
    if "Rows" not in found or not any(name in found for name in PIXELS):
        kind = getattr(found.get("SOPClassUID"), "name", "") or "of unknown kind"
        raise bad(path, f"has no pixels, or ends before them ({kind})", "remove it, or copy or download it again")
    if "MOSAIC" in (found.get("ImageType") or ()):
        raise bad(path, "holds its slices as one MOSAIC", "convert it with dcm2niix")
    if "ModalityLUTSequence" in found:
        raise bad(path, "gives its values by a table (Modality LUT)", "apply the table, and write numbers")


def _layout(path: Path, found: Any) -> Layout:
    allocated, samples = int(found.BitsAllocated), int(found.get("SamplesPerPixel") or 1)
    dtype = next((PIXELS[name] for name in PIXELS if name in found), "")
    if not dtype and allocated not in (1, 8, 16, 32):
        raise bad(path, f"stores its values in {allocated} bits", "write 8, 16 or 32")
    if samples not in (1, 3):
        raise bad(path, f"has {samples} samples for each pixel", "write 1, or 3 of a colour")
    bits = int(found.get("BitsStored") or allocated)
    return Layout(
        int(found.Rows), int(found.Columns), samples,
        dtype or f"{'int' if found.get('PixelRepresentation') else 'uint'}{max(allocated, 8)}",
        bits, int(found.get("HighBit") or bits - 1), str(found.get("PhotometricInterpretation") or "MONOCHROME2"),
    )  # fmt: skip


def _frames(path: Path, found: Any, layout: Layout, size: int) -> tuple[Frame, ...]:
    """The frames of a file of this size, which can hold them."""
    item = next(found.get_item(name, keep_deferred=True) for name in PIXELS if name in found)
    count, dtype = int(found.get("NumberOfFrames") or 1), np.dtype(layout.dtype)
    order = ">" if found.original_encoding[1] is False else "<"
    syntax = str(getattr(found, "file_meta", {}).get("TransferSyntaxUID", ""))
    header = Header(layout.rows, layout.columns, ("",) * layout.samples, (("t", count),), layout.dtype)
    is_plain = item.length != UNKNOWN_LENGTH and syntax != DEFLATED and found.BitsAllocated > 1
    is_plain = is_plain and layout.photometric != "YBR_FULL_422"
    check_size(path, header, raw_bytes=min(item.length, size - item.value_tell) if is_plain else None)
    if count > size:
        raise bad(path, f"is truncated: {size:,} bytes cannot hold {count:,} frames", "copy or download it again")
    step = layout.rows * layout.columns * dtype.itemsize
    is_read_here = is_plain and layout.samples == 1 and (order == "<" or dtype.itemsize > 1)
    padding = _padding(found, layout)
    return tuple(
        Frame(path, index, item.value_tell + index * step if is_read_here else -1, *_place(found, index, count),
              *_scale(found, index), padding, order, syntax, int(found.get("InstanceNumber") or 0))
        for index in range(count)
    )  # fmt: skip


def _group(found: Any, index: int, name: str) -> Any:
    """A functional group of a frame, else of all frames, else the file itself."""
    for groups, place in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = found.get(groups) or ()
        if place < len(items) and (held := items[place].get(name)):
            return held[0]
    return found


def _place(found: Any, index: int, count: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Position, directions and spacing of a frame, as far as the file says them."""
    measures = _group(found, index, "PixelMeasuresSequence")
    spacing = numbers_of(measures, "PixelSpacing") or numbers_of(found, "ImagerPixelSpacing")
    holder = _group(found, index, "PlanePositionSequence")
    directions = numbers_of(_group(found, index, "PlaneOrientationSequence"), "ImageOrientationPatient")
    position, offsets = numbers_of(holder, "ImagePositionPatient"), numbers_of(found, "GridFrameOffsetVector")
    is_own = holder is not found or count in (1, len(offsets))  # else all frames of a film share it
    if len(position) != 3 or len(directions) != 6 or not is_own:
        return (), (), spacing
    if count == len(offsets):
        normal = np.cross(directions[:3], directions[3:])
        position = tuple((np.array(position) + (offsets[index] - offsets[0]) * normal).tolist())
    return position, directions, spacing


def _scale(found: Any, index: int) -> tuple[float, float]:
    """Slope and offset of a frame."""
    values = _group(found, index, "PixelValueTransformationSequence")
    slope = number_of(found, "DoseGridScaling") or number_of(values, "RescaleSlope")
    return 1.0 if slope is None else slope, number_of(values, "RescaleIntercept") or 0.0


def _padding(found: Any, layout: Layout) -> tuple[float, ...]:
    """Codes that stand for no value, as they come out of `Layout.used`."""
    value, limit = found.get("PixelPaddingValue"), found.get("PixelPaddingRangeLimit")
    dtype = np.dtype(layout.dtype)
    if value is None or dtype.kind == "f":
        return ()
    ends = np.array([value, value if limit is None else limit], np.int64).astype(dtype)  # it may be stored unsigned
    low, high = sorted(layout.used(ends).tolist())
    return tuple(float(code) for code in range(low, min(high, low + 2**16) + 1))


def _unit(found: Any) -> str:
    if "DoseGridScaling" in found:
        return {"GY": "Gy"}.get(found.get("DoseUnits"), "")
    kind = found.get("RescaleType") or ("HU" if found.get("Modality") == "CT" else "")
    return "HU" if kind == "HU" else ""
