"""NIfTI-1 and -2 (.nii, .nii.gz, pairs of .hdr and .img), and MGH volumes of FreeSurfer, which are only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data import (
    Codes,
    Header,
    Orientation,
    Stored,
    bad,
    check_file,
    check_size,
    check_type,
    grid_digest,
    orientation_of,
)

from .nifti_header import (
    TO_LPS,
    beginning,
    file_of_header,
    is_packed,
    kind_of,
    maps_of,
    parsed,
    unpacked,
)
from .nifti_writing import write_nifti
from .quiet import quietly

LARGEST_PACKED = 1032  # bytes of content for each byte of a deflated file
LARGEST_HEADER = 2**26  # bytes, with its extensions
CHANNELS = {1: ("",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}


@dataclass(frozen=True)
class StoredNifti(Stored):
    """A NIfTI or MGH file whose header was read.

    Attributes:
        kind: the name of nibabel's class of its header.
        data: the file of its codes: itself, or the .img of a pair.
        is_packed: whether that is gzipped.
        begins: where in it the codes begin, in bytes.
        shape: of the codes as they lie there, the slowest axis first: t,k,j,i,channels.
        stored: NumPy's name of their type, with its byte order.
        orientation: how they are turned; None where the file does not say how it lies.
    """

    path: Path
    header: Header
    kind: str
    data: Path
    is_packed: bool
    begins: int
    shape: tuple[int, ...]
    stored: str
    orientation: Orientation | None

    def files(self) -> list[Path]:
        """See i2i_forge.data.Stored."""
        return [*dict.fromkeys((self.path.resolve(), self.data.resolve()))]

    def array(self) -> Codes:
        """All codes: mapped if `header.is_raw`, else read. Raises BadImage."""
        return self._turned(self._codes).astype(self.header.dtype, copy=False)

    def read(self, at: Mapping[str, int], rows: slice = slice(None), columns: slice = slice(None)) -> Codes:
        """One plane, or a region of it. A gzipped file is read as a whole for this."""
        plane = self._turned(self._codes)[tuple(at[name] for name, _ in self.header.axes)][:, rows, columns]
        return plane.astype(self.header.dtype, copy=False)

    def _turned(self, codes: Codes) -> Codes:
        upright = np.moveaxis(codes, -1, 0)  # channels,t,k,j,i
        upright = self.orientation.turn(upright) if self.orientation else upright
        turned: Codes = np.moveaxis(upright, 0, -3)
        return turned if self.shape[0] != 1 else turned[0]

    @property
    def _codes(self) -> Codes:
        return self._unpacked() if self.is_packed else self._mapped

    @cached_property
    def _mapped(self) -> Codes:
        with quietly(self.data):
            return np.memmap(self.data, np.dtype(self.stored), "r", self.begins, self.shape)

    def _unpacked(self) -> Codes:
        codes = np.empty(self.shape, np.dtype(self.stored))  # memory is taken as it is filled
        filled, count = codes.view(np.uint8).reshape(-1).data, 0
        with quietly(self.data), unpacked(self.data) as file:
            file.seek(self.begins)
            while got := file.readinto(filled[count : count + 2**20]):  # type: ignore[attr-defined]
                count += got
            is_longer = bool(file.read(1))  # at the end, this compares the checksum
        if count < len(filled):
            raise bad(self.data, f"is truncated: {count:,} bytes of values, its header says {len(filled):,}",
                      "copy or download it again, or remove it")  # fmt: skip
        if is_longer and self.kind != "MGHHeader":  # which says more behind its values
            raise bad(self.data, f"holds more than the {len(filled):,} bytes its header says", "write it again")
        return codes

    def __getstate__(self) -> dict[str, Any]:
        """Without the map, which is made again."""
        return {name: value for name, value in vars(self).items() if name != "_mapped"}


class Nifti:
    """NIfTI files: codes as they are stored, never scaled.

    Attributes:
        endings, needs: see `FileFormat`. An .img is read by the .hdr beside it.
    """

    endings = (".nii", ".nii.gz", ".hdr", ".mgh", ".mgz")
    writes = (".nii.gz", ".nii")
    is_one_channel = True
    needs: Mapping[str, str] = {"nibabel": "medical"}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins with a header of NIfTI or MGH, or belongs to one."""
        with quietly(path):
            other = file_of_header(path)
            return bool(kind_of(head if other == path else beginning(other)))

    def open(self, path: Path) -> StoredNifti:
        """The header, checked."""
        header_path = file_of_header(path)
        check_file(header_path)
        with quietly(path):
            head = beginning(header_path)
            kind = kind_of(head)
            if not kind:
                raise bad(path, "has no header of NIfTI or MGH", "convert it, or remove it")
            found = parsed(kind, head)
            data = header_path.with_suffix(".img") if "Pair" in kind else path
            size, packed = check_file(data), is_packed(data)
            dtype, begins = found.get_data_dtype(), int(found.get_data_offset())
            if not 0 <= begins <= LARGEST_HEADER:
                raise bad(path, f"says that its values begin at byte {begins:,}", "write it again")
            parts = len(dtype.names or ("",))  # RGB24 has three
            stored = dtype[0] if dtype.names else dtype
            shape = (*_shape(path, found), parts)
            header, orientation = _placed(_header(path, found, stored, shape), found, shape[1:4])
            header = replace(header, is_raw=not packed and stored.isnative)
            check_size(path, header, raw_bytes=size * LARGEST_PACKED if packed else size, begins=begins)
        return StoredNifti(path, header, kind, data, packed, begins, shape, stored.str, orientation)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """Write a .nii, or a .nii.gz if the name says so. See `FileFormat`.

        Raises:
            DataError: there are several channels, or other axes than z and t, or codes that NIfTI does not hold, or of
                another size than `like`; or a name of a pair or of MGH.
        """
        write_nifti(path, codes, header, like if isinstance(like, StoredNifti) else None)


def _shape(path: Path, found: Any) -> tuple[int, ...]:
    """The codes' axes in the file, the slowest first: t,k,j,i."""
    shape = list(map(int, found.get_data_shape()))
    shape += [1] * (4 - len(shape))
    if max(shape[4:], default=1) > 1:
        raise bad(path, f"has {'x'.join(map(str, shape))} values: more axes than space and time", "split it")
    return tuple(shape[3::-1])


def _header(path: Path, found: Any, stored: np.dtype[Any], shape: tuple[int, ...]) -> Header:
    """What codes are and mean. `shape` is t,k,j,i,channels."""
    slope, offset = (1.0, 0.0) if shape[4] > 1 else found.get_slope_inter()
    return Header(
        shape[2], shape[3], CHANNELS[shape[4]], dtype=check_type(path, stored), bits=8 * stored.itemsize,
        axes=((("t", shape[0]),) if shape[0] != 1 else ()) + (("z", shape[1]),),
        slope=(1.0 if slope is None else float(slope),), offset=(0.0 if offset is None else float(offset),),
        pixels="numbers" if shape[4] == 1 else "colour",
    )  # fmt: skip


def _placed(header: Header, found: Any, shape: tuple[int, ...]) -> tuple[Header, Orientation | None]:
    """The header with where a volume k,j,i lies, and how it is turned."""
    maps = maps_of(found)
    if not maps:
        i, j, k = (abs(float(size)) for size in (*found.get_zooms(), 1.0, 1.0)[:3])
        grid = grid_digest(header.rows, header.columns, shape[0], (k, j, i))
        note = "says nothing of its orientation (sform and qform have code 0): its planes have no names"
        return replace(header, spacing=(k, j, i), grid=grid, notes=(note,)), None
    differ = not np.allclose(maps[0], maps[-1], rtol=0, atol=1e-3)
    lies = orientation_of(TO_LPS @ maps[0][:3][:, [2, 1, 0, 3]], (shape[0], shape[1], shape[2]))
    slices, rows, columns = (shape[axis] for axis in lies.order)
    header = replace(
        header, rows=rows, columns=columns, axes=(*header.axes[:-1], ("z", slices)), spacing=lies.spacing,
        affine=lies.affine, orientation=lies.letters, grid=lies.grid,
        notes=("its qform differs from its sform, which counts",) if differ else (),
    )  # fmt: skip
    return header, lies
