"""Volumes of one block of values behind a text header, as MetaImage and NRRD have them."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

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
    need_plain,
    open_clamped,
    orientation_of,
    reading,
)
from i2i_forge.errors import DataError

from .quoted import unnamed

LONGEST_HEADER = 1 << 16  # bytes
ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
PIECE = 1 << 20  # bytes that are decompressed at once


@dataclass(frozen=True)
class Block:
    """Where values lie.

    Attributes:
        file: that holds them.
        begins: the byte of it; -1 where they are the last ones.
        packed: whether they are compressed, by zlib or gzip.
        dtype: in the byte order of the file.
        shape: as they lie, the slowest axis first.
        channels: which of these axes are channels, None of one channel.
    """

    file: Path
    begins: int
    packed: bool
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    channels: int | None = None

    @property
    def bytes(self) -> int:
        """That the values take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def values(self) -> Codes:
        """Mapped where they are raw, else decompressed: not further than one byte behind the last."""
        with reading(self.file):
            if not self.packed:
                begins = self.file.stat().st_size - self.bytes if self.begins < 0 else self.begins
                return np.memmap(self.file, self.dtype, "r", begins, self.shape)
            with open_clamped(self.file) as file:
                file.seek(self.begins)
                return np.frombuffer(unpacked(self.file, file, self.bytes), self.dtype).reshape(self.shape)


class StoredBlock(Stored):
    """A volume, or an image of two axes, whose header was read.

    Attributes:
        block: its values.
        turned: how it is brought to S, P, L; None where it says nothing of its axes, or has two.
        fields: what its header says.
    """

    def __init__(
        self, path: Path, header: Header, block: Block, turned: Orientation | None, fields: dict[str, str]
    ) -> None:
        self.path, self.header, self.block, self.turned, self.fields = path, header, block, turned, fields

    def files(self) -> list[Path]:
        """See i2i_forge.data.Stored."""
        return [*dict.fromkeys((self.path.resolve(), self.block.file.resolve()))]

    def array(self) -> Codes:
        """See i2i_forge.data.Stored."""
        codes = self.block.values()
        codes = codes[None] if self.block.channels is None else np.moveaxis(codes, self.block.channels, 0)
        codes = np.moveaxis(codes if self.turned is None else self.turned.turn(codes), 0, -3)
        return codes.astype(self.header.dtype, copy=False)


def stored_block(
    path: Path, block: Block, affine: NDArray[Any] | None, spacing: list[float], fields: dict[str, str]
) -> StoredBlock:
    """What a text header says, checked.

    Args:
        affine: takes the last three of the file's axes (k, j, i, 1) to LPS millimetres; None of two axes, or where the
            file does not say what is left.
        spacing: of the last axes, the slowest first; may be empty.
    """
    space = [n for axis, n in enumerate(block.shape) if axis != block.channels]
    turned = None
    if affine is not None:
        try:
            turned = orientation_of(affine, (space[-3], space[-2], space[-1]))
        except ValueError as error:
            raise bad(path, f"its axes cannot be true: {error}", "correct its header") from error
        space[-3:] = [space[-3:][axis] for axis in turned.order]
    axes = [("z", space[-3])] if len(space) > 2 else []
    axes[:0] = [("t", length) for length in space[:-3]]
    if len(axes) > 2:
        raise bad(path, f"has {len(space)} axes and maybe channels", "write three or four")
    channels = unnamed(path, 1 if block.channels is None else block.shape[block.channels])
    if block.begins < -1 or (block.packed and block.begins < 0):
        raise bad(path, f"its values begin at byte {block.begins}", "correct its header")
    origin = fields.get("Offset", fields.get("space origin"))
    steps = [0.0] * (3 - len(spacing)) + spacing if spacing else []
    header = Header(
        rows=space[-2], columns=space[-1], channels=channels, axes=tuple(axes),
        dtype=check_type(path, block.dtype),
        bits=8 * block.dtype.itemsize, affine=turned.affine if turned else None,
        spacing=turned.spacing if turned else (steps[0], steps[1], steps[2]) if steps else None,
        orientation=turned.letters if turned else "",
        grid=turned.grid if turned else grid_digest(space[-2], space[-1], steps, origin),
        is_raw=not block.packed and block.dtype.isnative,
    )  # fmt: skip
    size = check_file(block.file)
    check_size(path, header, raw_bytes=None if block.packed else size, begins=max(block.begins, 0))
    return StoredBlock(path, header, block, turned, fields)


def in_file(
    path: Path, codes: Codes, header: Header, like: Stored | None, kind: str
) -> tuple[Codes, StoredBlock | None]:
    """The values as they lie in a file: little-endian, channels the fastest axis, axes as `like` has them.

    Args:
        kind: what the format is called.

    Returns:
        And the file whose geometry is taken over: `like`, if it has the same axes.

    Raises:
        DataError: the format has no place for what the header says.
    """
    need_plain(path, header, kind)
    if [name for name, _ in header.axes] not in ([], ["z"], ["t", "z"]):
        raise DataError(
            f"{path}: holds no axes {', '.join(name for name, _ in header.axes)}", fix="write one file each"
        )
    same = like if isinstance(like, StoredBlock) and like.header.axes == header.axes else None
    codes = np.moveaxis(codes, -3, 0)
    codes = codes if same is None or same.turned is None else same.turned.turn_back(codes)
    codes = np.moveaxis(codes, 0, -1) if len(header.channels) > 1 else codes[0]
    return np.ascontiguousarray(codes, codes.dtype.newbyteorder("<")), same


def axes_to_write(header: Header) -> NDArray[np.float64]:
    """The steps of i, j, k (columns) and the origin in LPS millimetres, 3,4, as the header says them."""
    if header.affine is not None:
        return np.array(header.affine)[:, [2, 1, 0, 3]]
    slices, rows, columns = header.spacing or (1.0, 1.0, 1.0)
    return np.column_stack([np.diag([columns or 1.0, rows or 1.0, slices or 1.0]), np.zeros(3)])


def beside(path: Path, name: str) -> Path:
    """The file of values that a header names: only in its own folder, never through a link to another.

    Raises:
        BadImage: the name leads elsewhere, or is a pattern; DataError: there is no such file.
    """
    found = path.parent / name
    if name.upper().startswith("LIST"):
        raise bad(path, "its values lie in a list of files", "write it as one .mha or .nrrd")
    if name != Path(name).name or name in ("", "..") or set(name) & {"%", " ", "\\", "\0"}:
        raise bad(
            path, f"names its values '{name}', which is no plain name of a file beside it", "write one .mha or .nrrd"
        )
    if found.resolve().parent != path.parent.resolve():
        raise bad(path, f"its values '{name}' are a link to another folder", "copy them beside it")
    check_file(found)
    return found


def unpacked(path: Path, file: IO[bytes], wanted: int) -> bytearray:
    """What a stream holds, of `wanted` bytes.

    Raises:
        BadImage: it holds more or less.
    """
    found, decoder = bytearray(), zlib.decompressobj(ZLIB_OR_GZIP)
    while len(found) <= wanted and not decoder.eof:
        piece = decoder.unconsumed_tail or file.read(PIECE)
        if not piece:
            break
        found += decoder.decompress(piece, min(PIECE * 16, wanted + 1 - len(found)))
    if len(found) != wanted or not decoder.eof:
        shown = "more" if len(found) > wanted else "less"
        raise bad(path, f"holds {shown} than the {wanted:,} bytes that its header says", "copy or download it again")
    return found
