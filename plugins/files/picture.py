"""Pictures as they are stored: PNG, JPEG, WebP, BMP and PPM, by Pillow."""

from __future__ import annotations

import importlib.util
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from i2i_forge.data import Codes, Header, Stored, bad, check_size, grid_digest, need_plain, open_clamped, reading
from i2i_forge.errors import DataError

from .upright import swaps, upright

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6  # of a PNG's IHDR
NAMES: Mapping[int, tuple[str, ...]] = {
    GREY: ("",), COLOUR: ("R", "G", "B"), PALETTE: ("",), GREY_ALPHA: ("", "A"), COLOUR_ALPHA: ("R", "G", "B", "A"),
}  # fmt: skip
KINDS = {"1": GREY, "L": GREY, "I;16": GREY, "I": GREY, "F": GREY, "RGB": COLOUR, "P": PALETTE,
         "LA": GREY_ALPHA, "RGBA": COLOUR_ALPHA}  # fmt: skip
NOTED = (b"gAMA", b"iCCP", b"sRGB", b"sBIT", b"cHRM")  # chunks that change no value here
WRITTEN = (("uint8", 1, False), ("uint16", 1, False), ("uint8", 3, True), ("uint8", 4, True))  # True: colour
MOST_CHUNKS = 1000  # before the pixels


@dataclass(frozen=True)
class Depth:
    """How what Pillow gives becomes the codes of the file.

    Attributes:
        white: the largest code.
        given: what Pillow makes of it.
        orientation: of EXIF.
        by_imagecodecs: whether Pillow would cut it to 8 bits.
    """

    white: int
    given: int
    orientation: int = 1
    by_imagecodecs: bool = False


class Picture:
    """PNG, JPEG, WebP, BMP, PPM, PGM and PFM: grey of 1 to 16 bits, 8-bit colour and palettes exactly as stored.

    Grey of less than 8 bits is 0..1, 0..3, 0..15, as in the file. Colour is R, G, B and maybe A; 16-bit colour and grey
    with alpha take imagecodecs. A palette gives its indices. Gamma and profiles change no code. Only the first frame is
    read. What is written is a PNG: 8- or 16-bit grey, or 8-bit RGB and RGBA.
    """

    endings = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".pnm", ".pfm")
    writes = (".png",)
    is_one_channel = holds_colour = True
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins as one of these does."""
        is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
        is_pnm = len(head) > 2 and head[:1] == b"P" and head[1:2] in b"2356fF" and head[2:3].isspace()
        return is_webp or is_pnm or head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"))

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat."""
        with pillow(path) as image:
            header, depth = described(path, image)
        return StoredPicture(path, check_size(path, header), depth)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """See i2i_forge.data.FileFormat."""
        need_plain(path, header, "a PNG")
        channels = len(header.channels)
        if header.axes or (header.dtype, channels, header.pixels == "colour") not in WRITTEN:
            raise DataError(f"{path}: a PNG does not hold {channels} channels of {header.dtype} that are "
                            f"{header.pixels}, {header.axes}", fix="write uint8 or uint16, or TIFF")  # fmt: skip
        pixels = codes[0] if channels == 1 else codes.transpose(1, 2, 0)
        with path.open("xb") as file:
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", transparency=transparent_code(header))


class StoredPicture(Stored):
    """A picture whose header was read."""

    def __init__(self, path: Path, header: Header, depth: Depth) -> None:
        self.path, self.header, self.depth = path, header, depth

    def array(self) -> Codes:
        """See i2i_forge.data.Stored."""
        depth = self.depth
        if depth.by_imagecodecs:
            import imagecodecs

            with reading(self.path), open_clamped(self.path) as file:
                codes = np.atleast_3d(imagecodecs.png_decode(file.read()))
        else:
            with pillow(self.path) as image:
                codes = np.atleast_3d(np.asarray(image))
        if depth.given != depth.white:
            codes = (codes.astype(np.int64) * depth.white + depth.given // 2) // depth.given
        codes = upright(codes.transpose(2, 0, 1), depth.orientation).astype(self.header.dtype, copy=False)
        if codes.shape != self.header.shape:
            raise bad(self.path, f"holds {codes.shape}, its header says {self.header.shape}", "write it again")
        return codes


@contextmanager
def pillow(path: Path) -> Iterator[Image.Image]:
    """The picture with its header read. Raises BadImage of what is none, or is damaged."""
    with reading(path), open_clamped(path) as file, Image.open(file, formats=FORMATS) as image:
        yield image


def described(path: Path, image: Image.Image) -> tuple[Header, Depth]:
    """The header, and how the codes are found."""
    chunks = png_chunks(path) if image.format == "PNG" else {}
    if image.mode not in KINDS:
        raise bad(path, f"holds {image.mode} colours, which are neither measured values nor RGB", "convert it")
    kind, white, given = KINDS[image.mode], 255, 255
    if image.format == "PNG":
        bits, kind = chunks[b"IHDR"][8:10]
        white, given = 2**bits - 1, 255 if kind == GREY and bits < 8 else 2**bits - 1
    elif image.format == "PPM":
        white, given = white_of_ppm(image)
    if image.mode == "1":
        white = given = 1
    by_imagecodecs = white > 255 and kind not in (GREY, PALETTE)
    if by_imagecodecs and (image.format != "PNG" or importlib.util.find_spec("imagecodecs") is None):
        fix = "pip install 'i2i-forge[tiff]'" if image.format == "PNG" else "write it as PNG or TIFF"
        raise DataError(f"{path}: is {image.format} colour of {math.log2(white + 1):.0f} bits, which Pillow cuts to 8",
                        fix=fix)  # fmt: skip
    orientation = orientation_of(image)
    (columns, rows) = image.size[::-1] if swaps(orientation) else image.size
    is_float = image.mode == "F"
    header = Header(
        rows=rows, columns=columns, channels=NAMES[kind], nodata=transparent_grey(chunks, kind),
        dtype="float32" if is_float else "uint8" if white < 256 else "uint16",
        bits=32 if is_float else white.bit_length(),
        polarity="white_is_high" if kind in (GREY, GREY_ALPHA) else "", grid=grid_digest(rows, columns),
        pixels="palette" if kind == PALETTE else "colour" if kind in (COLOUR, COLOUR_ALPHA) else "numbers",
        notes=notes(image, chunks),
    )  # fmt: skip
    return header, Depth(white, white if by_imagecodecs else given, orientation, by_imagecodecs)


def png_chunks(path: Path) -> dict[bytes, bytes]:
    """The first bytes of each chunk before the pixels, by name; so many that an IHDR and a grey tRNS are whole."""
    found: dict[bytes, bytes] = {}
    with open_clamped(path) as file:
        place = 8
        for _ in range(MOST_CHUNKS):
            file.seek(place)
            head = file.read(8 + 13)
            if len(head) < 8 or head[4:8] == b"IDAT":
                break
            length, name = struct.unpack(">I4s", head[:8])
            found[name] = head[8 : 8 + min(length, 13)]
            place += 12 + length
    return found


def transparent_grey(chunks: Mapping[bytes, bytes], kind: int) -> tuple[float, ...]:
    """The code of grey that a tRNS chunk takes out."""
    return (float(int.from_bytes(chunks[b"tRNS"][:2], "big")),) if b"tRNS" in chunks and kind == GREY else ()


def transparent_code(header: Header) -> int | None:
    """The nodata that a tRNS chunk of grey can say."""
    code = header.nodata[0] if header.nodata and len(header.channels) == 1 else math.nan
    return int(code) if code in range(np.iinfo(header.dtype).max + 1) else None


def white_of_ppm(image: Any) -> tuple[int, int]:
    """The largest code that a PPM's header says, and what Pillow makes of it."""
    details = image.tile[0][3]
    given = 65535 if image.mode == "I" else 255
    return (details[1], given) if isinstance(details, tuple) and image.mode != "F" else (given, given)


def orientation_of(image: Image.Image) -> int:
    """The orientation of EXIF; a damaged block counts as upright."""
    if not {"exif", "Raw profile type exif"} & image.info.keys():  # asking a PNG without would decode all of it
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def notes(image: Image.Image, chunks: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """What a user should know."""
    ignored = [name.decode() for name in NOTED if name in chunks]
    if "icc_profile" in image.info and not ignored:
        ignored = ["ICC profile"]
    found = [f"{', '.join(ignored)}: noted, no code is changed"] if ignored else []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        found.append(f"the first of {frames} frames is read")
    return tuple(found)
