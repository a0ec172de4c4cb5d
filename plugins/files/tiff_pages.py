"""The pages of a TIFF: mapped where they are raw, else decoded, never to more than their header says."""

from __future__ import annotations

import importlib.util
import io
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_forge.data import Codes, Header, Stored, bad, reading

from .upright import upright

BILEVEL, LZW, JPEG, LZMA, DEFLATE = (2, 3, 4), 5, 7, 34925, (8, 32946, 50013)
ALONE = {1, LZMA, *DEFLATE, 32773}  # what tifffile decodes without imagecodecs
DECODED = {*ALONE, *BILEVEL, LZW, JPEG, 50000, 34926}  # the others become as large as their data say
BY_PILLOW = {LZW, JPEG, *BILEVEL, *DEFLATE}


@dataclass(frozen=True)
class Layout:
    """How pages lie in a file.

    Attributes:
        lead: the axes that pages make, each with its length; "c" are channels.
        page: shape of a page as tifffile has it: planes of samples, depth, rows, columns, samples of a pixel.
        dtype: in the byte order of the file.
        begins: where the codes of all pages begin, if they are raw and lie one behind the other; else None.
        pages: else where the directory of each page begins, shaped like the lengths of `lead`.
        orientation: the tag of that name.
        by_pillow: whether Pillow has to decode the only page.
    """

    lead: tuple[tuple[str, int], ...]
    page: tuple[int, ...]
    dtype: str
    begins: int | None = None
    pages: NDArray[Any] | None = None
    orientation: int = 1
    by_pillow: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all codes as they lie in the file."""
        return (*(length for _, length in self.lead), *self.page)

    def arrange(self, stored: Codes, lead: list[str]) -> Codes:
        """Pages (*lead, *page) as an upright *axes,channels,rows,columns."""
        n = len(lead)
        codes = stored.transpose(*range(n), n + 1, n, n + 4, n + 2, n + 3)
        if "c" in lead:
            codes = np.moveaxis(codes, lead.index("c"), -5)
        before = codes.shape[: n - ("c" in lead)] + ((self.page[1],) if self.page[1] > 1 else ())
        codes = upright(codes.reshape(*before, -1, *codes.shape[-2:]), self.orientation)
        return codes.astype(np.dtype(self.dtype).newbyteorder("="), copy=False)


class StoredTiff(Stored):
    """A TIFF whose directories were read.

    Attributes:
        layout: how its pages lie.
        kept: what `Tiff.write` takes over from it: {"place": ..., "ome": ..., "compression": ...}.
    """

    def __init__(self, path: Path, header: Header, layout: Layout, kept: Mapping[str, Any]) -> None:
        self.path, self.header, self.layout, self.kept = path, header, layout, kept

    def array(self) -> Codes:
        """See i2i_forge.data.Stored."""
        return self.layout.arrange(self._stored(()), [name for name, _ in self.layout.lead])

    def read(self, at: Mapping[str, int], rows: slice = slice(None), columns: slice = slice(None)) -> Codes:
        """See i2i_forge.data.Stored. Only the pages of this plane are decoded."""
        lead = [name for name, _ in self.layout.lead]
        pick = tuple(slice(None) if name == "c" else at[name] for name in lead)
        codes = self.layout.arrange(self._stored(pick), ["c"] * ("c" in lead))
        plane: Codes = (codes[at["z"]] if codes.ndim == 4 else codes)[:, rows, columns]
        return plane

    def _stored(self, pick: tuple[Any, ...]) -> Codes:
        layout = self.layout
        with reading(self.path):
            if layout.begins is not None:
                codes: Codes = np.memmap(self.path, layout.dtype, "r", layout.begins, layout.shape)[pick]
                return codes
            if layout.by_pillow:
                return pillow_page(self.path, layout)
            assert layout.pages is not None
            chosen = np.asarray(layout.pages[pick])
            decoded = np.stack(list(decoded_pages(self.path, chosen.ravel().tolist(), layout.page)))
            return decoded.reshape(*chosen.shape, *layout.page)


class Listener(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.said.append(record)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, list[logging.LogRecord]]]:
    """The file by tifffile, and what this logs of it; no other file is opened, whatever its metadata name."""
    import tifffile

    listener, log = Listener(), logging.getLogger("tifffile")
    log.addHandler(listener)
    propagates, log.propagate = log.propagate, False
    try:
        with tifffile.TiffFile(path, _multifile=False, is_mmstack=False, is_ndtiff=False) as file:
            yield file, listener.said
    finally:
        log.removeHandler(listener)
        log.propagate = propagates


def decoded_pages(path: Path, offsets: list[int], shape: tuple[int, ...]) -> Iterator[Codes]:
    """The pages whose directories begin at these places.

    Raises:
        BadImage: one holds more or less than it says.
    """
    from tifffile import TiffPage

    with opened(path) as (file, _):
        for offset in offsets:
            file.filehandle.seek(offset)
            page = TiffPage(file, index=0)
            if page.shaped != shape:
                raise bad(path, f"has pages of {page.shaped} and {shape}", "write them into several files")
            refuse_bombs(path, page)
            yield page.asarray(squeeze=False, maxworkers=1)


def refuse_bombs(path: Path, page: Any) -> None:
    """Raise BadImage where a strip or tile would become more than its place: only some decoders stop there."""
    compression = page.compression
    if compression != JPEG and (importlib.util.find_spec("imagecodecs") or compression not in (*DEFLATE, LZMA)):
        return
    rows, columns = page.chunks[page.axes.index("Y")], page.chunks[page.axes.index("X")]
    largest = math.prod(page.chunks) * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        data = page.parent.filehandle.read(count)
        if compression == JPEG:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                is_larger = image.width > columns or image.height > rows
        else:
            is_larger = len(inflated(data, compression, largest + 1)) > largest
        if is_larger:
            raise bad(path, "has a strip or tile that holds more than its place", "write it again")


def inflated(data: bytes, compression: int, most: int) -> bytes:
    """The first `most` bytes of what was compressed."""
    import lzma
    import zlib

    return lzma.LZMADecompressor().decompress(data, most) if compression == LZMA else (
        zlib.decompressobj().decompress(data, most)
    )  # fmt: skip


def pillow_page(path: Path, layout: Layout) -> Codes:
    """The only page of a grey file, for which tifffile wants imagecodecs."""
    with Image.open(path, formats=("TIFF",)) as image:
        codes = np.asarray(image)
    native = np.dtype(layout.dtype).newbyteorder("=")
    if codes.dtype.newbyteorder("=") != native and not np.array_equal(codes, codes.astype(native)):
        raise ValueError(f"Pillow reads {codes.dtype} where the header says {native}")
    return codes.astype(native).reshape(layout.page)
