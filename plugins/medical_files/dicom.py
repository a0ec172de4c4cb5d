"""DICOM: a file is a picture, or a run of frames; a folder is a series of slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i2i_forge.data import Codes, Header, Orientation, Stored, bad, check_size, grid_digest, orientation_of
from i2i_forge.errors import DataError

from .dicom_codes import check_decoder, codes_of, decoded
from .dicom_dataset import PREAMBLE, is_dicom
from .dicom_order import APART, affine_of, in_order
from .dicom_picture import Frame, Layout, Picture, picture
from .dicom_writing import OTHERWISE, write_like
from .quiet import quietly

LOOKED_AT = 16  # files of a folder, to see whether it holds a series


@dataclass(frozen=True)
class StoredDicom(Stored):
    """A DICOM file or series whose header was read.

    Attributes:
        layout: of the codes of all frames.
        frames: in the order of the file's axis, by position where they have one.
        orientation: how they are turned; None where they are left as they are.
    """

    path: Path
    header: Header
    layout: Layout
    frames: tuple[Frame, ...]
    orientation: Orientation | None

    def array(self) -> Codes:
        """All codes. Raises BadImage, or DataError when a decoder is not installed."""
        first = self.frames[0]
        if first.begins < 0 and all(frame.path == first.path for frame in self.frames):
            codes = decoded(first, self.layout, None)[[frame.index for frame in self.frames]]
            planes = [self._values(frame, plane) for frame, plane in zip(self.frames, codes, strict=True)]
        else:
            planes = [self._values(frame, codes_of(frame, self.layout)) for frame in self.frames]
        codes = np.stack(planes, axis=1)  # channels,k,j,i
        turned = np.moveaxis(self.orientation.turn(codes) if self.orientation else codes, 0, -3)
        return turned if self.header.axes else turned[0]

    def read(self, at: Mapping[str, int], rows: slice = slice(None), columns: slice = slice(None)) -> Codes:
        """One plane, or a region of it: from one file, unless planes lie across the series."""
        if self.orientation and self.orientation.order[0] != 0:
            return super().read(at, rows, columns)
        place = next((at[name] for name, _ in self.header.axes), 0)
        if self.orientation and self.orientation.flips[0]:
            place = len(self.frames) - 1 - place
        frame = self.frames[place]
        plane = self._values(frame, codes_of(frame, self.layout))
        if self.orientation:
            plane = self.orientation.turn(plane[:, None])[:, 0]
        return plane[:, rows, columns]

    def _values(self, frame: Frame, codes: Codes) -> Codes:
        """What `header.dtype` says: codes, or quantities where frames have each their own slope."""
        if self.header.dtype == self.layout.dtype:
            return codes
        values = codes * frame.slope + frame.offset
        values[np.isin(codes, frame.padding)] = np.nan
        return values


class Dicom:
    """DICOM files and series.

    Attributes:
        endings, needs: see `FileFormat`.
    """

    endings = (".dcm", ".ima")
    is_one_channel = True
    needs: Mapping[str, str] = {"pydicom": "medical"}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it is a DICOM file, or a folder that holds some."""
        with quietly(path):
            return is_dicom(head) if head or not path.is_dir() else bool(_dicom_files(path, LOOKED_AT))

    def open(self, path: Path) -> StoredDicom:
        """The header of a file, or of the series in a folder.

        Slices with slopes of their own (PET) have no header that holds for all: their codes are the quantities in
        float64, which represents each slope * code + offset as DICOM defines it; slope 1, offset 0.
        """
        with quietly(path):
            files = _dicom_files(path) if path.is_dir() else [path]
        pictures = [picture(file) for file in files]
        _check_series(path, pictures)
        frames = tuple(frame for each in pictures for frame in each.frames)
        notes: tuple[str, ...] = ()
        check_decoder(frames[0])
        with quietly(path):
            if len(pictures) > 1 or any(frame.position for frame in frames):
                frames, notes = in_order(path, frames)
            header = _header(pictures[0], frames, notes)
            header, orientation = _placed(header, frames, pictures[0].thickness, is_series=path.is_dir())
        return StoredDicom(path, check_size(path, header), pictures[0].layout, frames, orientation)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """Write a file or a folder like a DICOM file or series. See `FileFormat`.

        Raises:
            DataError: `like` is no DICOM file, or one of a dose or a segmentation; or codes are of another size, or
                not 8 or 16 bits of one channel.
        """
        if not isinstance(like, StoredDicom):
            cause = f"{path}: DICOM files are written like others alone, which say patient, study and place"
            raise DataError(cause, fix=OTHERWISE)
        write_like(path, codes, header, like)


def _dicom_files(folder: Path, count: int | None = None) -> list[Path]:
    """The DICOM files among the first files of a folder, by name."""
    found = []
    for path in sorted(folder.iterdir())[:count]:
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                if is_dicom(file.read(PREAMBLE)):
                    found.append(path)
    return found


def _check_series(path: Path, pictures: Sequence[Picture]) -> None:
    if not pictures:
        raise bad(path, "holds no DICOM files", "name the folder of a series")
    if len(counts := Counter(each.series for each in pictures)) > 1:
        listed = ", ".join(f"{series} ({count} files)" for series, count in sorted(counts.items()))
        raise bad(path, f"holds {len(counts)} series: {listed}", "put each into a folder of its own")
    for each in pictures:
        if each.layout != (first := pictures[0]).layout:
            cause = f"its slices are of different kinds: {first.layout} in {first.path.name}, {each.layout} in "
            raise bad(path, cause + each.path.name, APART)


def _header(first: Picture, frames: Sequence[Frame], notes: tuple[str, ...]) -> Header:
    """What frames hold, but for where they lie."""
    layout, shown = first.layout, first.layout.photometric
    if len({(frame.slope, frame.offset, frame.padding) for frame in frames}) == 1:
        frame, dtype, bits = frames[0], layout.dtype, layout.bits
    else:
        frame, dtype, bits = replace(frames[0], slope=1.0, offset=0.0, padding=()), "float64", 64
        notes = (*notes, "slices have slopes or padding of their own: their quantities are taken")
    return Header(
        layout.rows, layout.columns, ("R", "G", "B") if layout.samples == 3 else ("",), dtype=dtype,
        slope=(frame.slope,), offset=(frame.offset,), nodata=frame.padding, bits=bits, unit=first.unit,
        polarity="white_is_low" if shown == "MONOCHROME1" else "white_is_high" if shown == "MONOCHROME2" else "",
        pixels="palette" if shown == "PALETTE COLOR" else "colour" if layout.samples == 3 else "numbers", notes=notes,
    )  # fmt: skip


def _placed(
    header: Header, frames: Sequence[Frame], thickness: float, *, is_series: bool
) -> tuple[Header, Orientation | None]:
    """The header with where the frames lie, and how they are turned. A picture that is not axial stays as it is."""
    count, spacing = len(frames), frames[0].spacing
    is_volume = is_series or count > 1
    if not frames[0].position:
        axes = (("z" if is_series else "t", count),) if is_volume else ()
        spaced = (thickness, spacing[0], spacing[1]) if len(spacing) == 2 else None
        grid = grid_digest(header.rows, header.columns, axes, spaced)
        return replace(header, axes=axes, spacing=spaced, grid=grid), None
    shape = (count, header.rows, header.columns)
    affine = affine_of(frames, thickness)
    lies = orientation_of(affine, shape)
    if not is_volume and lies.order[0] != 0:
        own, sizes = tuple(map(tuple, affine.tolist())), np.linalg.norm(affine[:, :3], axis=0).tolist()
        lies = replace(lies, order=(0, 1, 2), flips=(False,) * 3, affine=own, spacing=tuple(sizes))
    if count == 1 and not thickness:
        sizes = (0.0 if axis == 0 else size for axis, size in zip(lies.order, lies.spacing, strict=True))
        lies = replace(lies, spacing=tuple(sizes))
    slices, rows, columns = (shape[axis] for axis in lies.order)
    header = replace(
        header, rows=rows, columns=columns, axes=(("z", slices),) if is_volume else (), affine=lies.affine,
        spacing=lies.spacing, orientation=lies.letters, grid=lies.grid,
    )  # fmt: skip
    return header, lies
