"""Image files as they are stored: their codes, and what their headers say. A format is one of `catalog.files`.

A file holds an array of codes with the axes (*axes, channels, rows, columns). Rows and columns are those of a picture:
a format turns an image upright, and an oriented volume so that its planes lie axially with the patient's anterior side
above and right side at the left: slices go up to the head (S), rows to the back (P), columns to the left (L). This
takes flips and permutations only, which `write` undoes. What codes mean, `Header.slope` and the rest say; they are
applied by `ImageSpace` and its readers, never by a format.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from i2i_forge.data.file_checks import MAX_CODES, MAX_PIXELS, bad
from i2i_forge.errors import DataError

Codes = NDArray[Any]
HEAD = 512  # bytes that tell a format


@dataclass(frozen=True)
class Header:
    """What a file says of itself, from its header alone; no objects of libraries.

    Attributes:
        rows, columns: of the upright picture.
        channels: a name for each, "" where the file has none.
        axes: the other axes by name with their lengths, the slowest first: (("t", 20), ("z", 3)). "z" are slices, "t"
            times, "pages" pages that the file does not explain.
        dtype: NumPy's name of the codes' type, in native byte order.
        slope, offset: the quantity is slope * code + offset, for each channel or once for all.
        nodata: codes that stand for no value, for each channel or once for all; of floats NaN always does.
        bits: how many bits of a code are used.
        spacing: of slices, rows and columns, in millimetres or what the file says, 0 where it does not say; None
            where it says nothing.
        affine: of an oriented volume: three rows of four numbers, which take (slice, row, column, 1) of the array to
            millimetres to the patient's left, back and head (LPS). None where the file has none.
        orientation: the file's own axes in anatomical letters, "LPS" or "RAS"; "" where planes have no names.
        unit: of the quantity, where the file says it: "HU".
        polarity: how the file asks to show its codes.
        grid: what identifies size and geometry: equal for the members of a stack or a pair. See `grid_digest`.
        is_raw: whether `Stored.array` maps the file: nothing is decoded, and no memory taken.
        pixels: what codes are: "numbers" that may be measured values, the "colour" of a picture (its channels are R, G,
            B and maybe A), or the indices of a "palette".
        notes: what a user should know of this file, in sentences.
    """

    rows: int
    columns: int
    channels: tuple[str, ...] = ("",)
    axes: tuple[tuple[str, int], ...] = ()
    dtype: str = "uint8"
    slope: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    nodata: tuple[float, ...] = ()
    bits: int = 0
    spacing: tuple[float, float, float] | None = None
    affine: tuple[tuple[float, float, float, float], ...] | None = None
    orientation: str = ""
    unit: str = ""
    polarity: Literal["", "white_is_high", "white_is_low"] = ""
    grid: str = ""
    is_raw: bool = False
    pixels: Literal["numbers", "colour", "palette"] = "numbers"
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: (*axes, channels, rows, columns)."""
        return (*(length for _, length in self.axes), len(self.channels), self.rows, self.columns)


class Stored:
    """An image file whose header was read. It keeps no file open, so that it can be used after a fork.

    Attributes:
        path: the file, or the folder of a series.
        header: what it says.
    """

    path: Path
    header: Header

    def array(self) -> Codes:
        """All codes, shaped `header.shape`, in native byte order; mapped where `header.is_raw`, else decoded.

        Raises:
            BadImage: the file is damaged behind its header, or holds more or less than this says.
        """
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The files that it is made of: itself, those of its folder, and others of a pair; none where there is none."""
        path = self.path.resolve()
        return sorted(path.iterdir()) if path.is_dir() else [path]

    def stamps(self) -> list[tuple[str, int, int, int]]:
        """Name, size and times of each file of it, which change when it does; [] of what is in no file."""
        files = self.files()
        return [(str(file), (s := file.stat()).st_size, s.st_mtime_ns, s.st_ctime_ns) for file in files]

    def read(self, at: Mapping[str, int], rows: slice = slice(None), columns: slice = slice(None)) -> Codes:
        """The codes of one plane, or of a region of it: channels,rows,columns.

        Args:
            at: the place on each of `header.axes`.
        """
        plane: Codes = self.array()[tuple(at[name] for name, _ in self.header.axes)]
        return plane[:, rows, columns]


class FileFormat(Protocol):
    """How image files of one kind are read and written; registered by `catalog.files.add("nifti", Nifti)`.

    The class is called without arguments. A format that cannot be written has no `write`.

    Attributes:
        endings: of its names, (".nii", ".nii.gz"); the longest ending among all formats decides.
        needs: what has to be installed to use it: import name -> extra of i2i_forge, {"nibabel": "medical"}.
        writes: the endings of files that it writes, if these are not all `endings`.
        is_one_channel: whether a file holds one channel of numbers; without it it holds any number.
        holds_colour: of such a format, whether a file holds 8-bit RGB all the same.
    """

    endings: tuple[str, ...]
    needs: Mapping[str, str]

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether this is such a file, by its first 512 bytes; of a folder there are none."""

    def open(self, path: Path) -> Stored:
        """The header, checked: of a regular file, see `check_file` and `check_size`; no codes are read.

        Raises:
            BadImage: the file is damaged, or of a kind that is refused; says why, and what to do.
            DataError: it cannot be read.
        """

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """Write a file, to a name that is free; the caller gives it its final name.

        Args:
            codes: shaped and typed as `header` says, upright and in canonical order.
            header: slope, offset, nodata, names of channels, unit; its `affine` and `spacing` count without `like`.
            like: the file whose geometry it gets, of this format: affine maps, positions and the like, bit for bit;
                its axes are undone if they are `header`'s.
        """


def check_size(path: Path, header: Header, *, raw_bytes: int | None = None, begins: int = 0) -> Header:
    """The header, if its sizes can be true.

    Args:
        raw_bytes: of codes that are stored as they are, behind the first `begins` bytes of a file of this size.

    Raises:
        BadImage: a side is not positive, a plane has more than MAX_PIXELS, the file more than MAX_CODES values, or
            less bytes than its header says.
    """
    shown = "x".join(map(str, header.shape))
    if min(header.shape) < 1:
        raise bad(path, f"its header says {shown} values", "write it again")
    if header.rows * header.columns > MAX_PIXELS:
        raise bad(path, f"has planes of {header.rows}x{header.columns}, more than {MAX_PIXELS:,} pixels", "cut it")
    if math.prod(header.shape) > MAX_CODES:
        raise bad(path, f"has {shown} values, more than {MAX_CODES:,}", "cut it into several files")
    wanted = math.prod(header.shape) * np.dtype(header.dtype).itemsize
    if raw_bytes is not None and raw_bytes - begins < wanted:
        raise bad(path, f"is truncated: {raw_bytes - begins:,} bytes of values, its header says {wanted:,}",
                  "copy or download it again, or remove it")  # fmt: skip
    return header


def need_plain(path: Path, header: Header, kind: str) -> None:
    """Raise DataError where codes have a slope or an offset; for formats that have no place for them: `kind`."""
    if {*header.slope} != {1} or {*header.offset} != {0}:
        raise DataError(f"{path}: {kind} has no place for slope {header.slope} and offset {header.offset}",
                        fix="write the values themselves as float32, or another format")  # fmt: skip


def grid_digest(rows: int, columns: int, *geometry: object) -> str:
    """What identifies a grid: its size, and where it lies as far as the file says; 16 hexadecimal digits."""
    return hashlib.blake2b(repr((rows, columns, *geometry)).encode(), digest_size=8).hexdigest()
