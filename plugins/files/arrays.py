"""Arrays of NumPy: npy, and npz with one array."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from i2i_forge.data import (
    Codes,
    Header,
    Stored,
    bad,
    check_size,
    check_type,
    grid_digest,
    need_plain,
    open_clamped,
    reading,
)


class Npy:
    """npy. Two axes are rows and columns; what is before them are axes of unknown meaning, with one channel.

    An array of three or more axes does not say which are channels, slices or rows: it is read with the axes "axis0",
    "axis1" and so on before its last two, and the domain's rule `axes` says what they are. Nothing is unpickled.
    """

    endings = (".npy",)
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins as npy does."""
        return head.startswith(b"\x93NUMPY")

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat. A header that lies is refused before memory is taken."""
        with reading(path), open_clamped(path) as file:
            layout = layout_of(path, file)
            header = header_of(path, layout, is_raw=layout.dtype.isnative)
            check_size(path, header, raw_bytes=path.stat().st_size, begins=layout.begins)
            return StoredArray(path, header, layout)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """See i2i_forge.data.FileFormat. One channel has no axis; several come back as an axis of unknown meaning."""
        need_plain(path, header, "npy")
        with path.open("xb") as file:
            np.save(file, without_one_channel(codes), allow_pickle=False)


class Npz:
    """npz with one array, compressed or not; its axes are those of npy. Written compressed."""

    endings = (".npz",)
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it is a ZIP archive whose first member is npy."""
        return head.startswith(b"PK\x03\x04") and b".npy" in head[30:]

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat."""
        with only_member(path) as member:
            layout = layout_of(path, member)
            return StoredMember(path, header_of(path, layout, is_raw=False), layout)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """As of npy."""
        need_plain(path, header, "npz")
        with path.open("xb") as file:
            np.savez_compressed(file, allow_pickle=False, arr_0=without_one_channel(codes))


@dataclass(frozen=True)
class Layout:
    """What the header of an npy says, and where its values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    begins: int


class StoredArray(Stored):
    """An array whose header was read."""

    def __init__(self, path: Path, header: Header, layout: Layout) -> None:
        self.path, self.header, self.layout = path, header, layout

    def array(self) -> Codes:
        """See i2i_forge.data.Stored."""
        codes = self.values()
        return codes.astype(codes.dtype.newbyteorder("="), copy=False)[..., None, :, :]

    def values(self) -> Codes:
        """As they are in the file."""
        layout = self.layout
        with reading(self.path):
            return np.memmap(self.path, layout.dtype, "r", layout.begins, layout.shape, layout.order)


class StoredMember(StoredArray):
    """The array of an archive whose header was read."""

    def values(self) -> Codes:
        """Not more is decompressed than the header says."""
        layout = self.layout
        wanted = math.prod(layout.shape) * layout.dtype.itemsize
        with only_member(self.path) as member:
            member.read(layout.begins)
            data = member.read(wanted)
            if len(data) != wanted or member.read(1):
                raise bad(self.path, f"holds more or less than the {wanted:,} bytes of its header", "write it again")
        return np.frombuffer(data, layout.dtype).reshape(layout.shape, order=layout.order)


def header_of(path: Path, layout: Layout, *, is_raw: bool) -> Header:
    """The header of an array."""
    *before, rows, columns = layout.shape if len(layout.shape) > 1 else (0, 0)
    name = check_type(path, layout.dtype)
    if len(layout.shape) < 2:
        raise bad(path, f"is an array of shape {layout.shape}, no image", "write rows and columns")
    axes = tuple((f"axis{place}", length) for place, length in enumerate(before))
    header = Header(rows, columns, axes=axes, dtype=name, bits=8 * layout.dtype.itemsize,
                    grid=grid_digest(rows, columns), is_raw=is_raw)  # fmt: skip
    return check_size(path, header)


def without_one_channel(codes: Codes) -> Codes:
    """*,channels,rows,columns as it is written: one channel is no axis."""
    found: Codes = codes[..., 0, :, :] if codes.shape[-3] == 1 else codes
    return found


@contextmanager
def only_member(path: Path) -> Iterator[IO[bytes]]:
    """The only array of an archive, opened."""
    with reading(path), open_clamped(path) as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if len(names) != 1:
            shown = ", ".join(name.removesuffix(".npy") for name in names[:5])
            raise bad(path, f"holds {len(names)} arrays: {shown}", "save one array into each file")
        with archive.open(names[0]) as member:
            yield member


def layout_of(path: Path, file: IO[bytes]) -> Layout:
    """What an npy says of itself; read up to its values."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise bad(path, f"holds npy of version {version}", "write numbers")  # the third is for names of structures
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    return Layout(shape, dtype, "F" if is_fortran else "C", file.tell())
