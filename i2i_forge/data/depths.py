"""How deep images are: which bits and bands `decode` refuses, and 16-bit grey to 8 bits."""

from __future__ import annotations

import logging
import mmap
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from i2i_forge.system.files import one_line

log = logging.getLogger("i2i_forge")
ACCEPTED = "make it 8-bit grey or RGB, 16-bit grey, or float32 grey in [0, 1]"
BITS, PHOTOMETRIC, SAMPLES, EXTRA, FORMAT = 258, 262, 277, 338, 339  # tags of TIFF

_COLOURS = {2: ("RGB", 3), 3: ("palette", 1), 5: ("CMYK", 4), 6: ("YCbCr", 3), 8: ("LAB", 3)}  # others are grey
_TYPES = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}
_DEEP = ((1, 16), (3, 32), (1, 32), (2, 16), (2, 32))  # grey that is read, or refused for what its values may be
_ALPHA = ((1,), (2,), (999,))  # the last is what Corel Draw writes
_PARTS = (1, 2, 5, 10, 25)  # per cent
_told = mmap.mmap(-1, 1)  # shared with workers that fork, so that a run says it once


def refusal(file: BinaryIO, image: Image.Image | None) -> str:
    """What a file is that Pillow does not open (`image` is None) or changes in silence; "" for all others."""
    if image is None or image.format == "TIFF":
        with suppress(Exception):  # a damaged one raises nearly anything, and Pillow says so
            return _refused_tiff(getattr(image, "tag_v2", None) or _tags(file))
        return ""
    tiles = getattr(image, "tile", ())
    details = tiles[0][3] if tiles else ""
    raw, *more = details if isinstance(details, tuple) else (details,)  # PPM: the mode and the value of white
    bits = 16 if ";16" in str(raw) else more[0].bit_length() if image.format == "PPM" and more else 8
    bands = len(str(raw).partition(";")[0])
    return f"is a {bits}-bit {image.format} of {bands} bands" if bits > 8 and not image.mode.startswith("I") else ""


def _tags(file: BinaryIO) -> ImageFileDirectory_v2:
    """The first directory of a TIFF that Pillow does not open."""
    file.seek(0)
    head = file.read(16)
    # a BigTIFF has the longer head; Pillow reads none in big-endian order
    tags = ImageFileDirectory_v2(head if head[2] == 43 else head[:8])
    file.seek(tags.next)
    tags.load(file)
    return tags


def _refused_tiff(tags: ImageFileDirectory_v2) -> str:
    bands, photometric = tags.get(SAMPLES, 1), tags.get(PHOTOMETRIC, 1)
    bits, kind = max(tags.get(BITS, (1,))), max(tags.get(FORMAT, (1,)))
    colour, usual = _COLOURS.get(photometric, ("grey", 1))
    more = bands - usual - (tags.get(EXTRA) in _ALPHA)
    named, is_byte = f"{_TYPES.get(kind, f'type {kind}, ')}{bits}", kind == 1 and bits <= 8
    if bands > 1 and not (is_byte and more <= 0):
        said = f" ({colour} and {more} more, which no tag calls alpha)" if more > 0 else ""
        return f"is a TIFF of {bands} bands of {named}{said}"
    if bands == 1 and not is_byte and ((kind, bits) not in _DEEP or photometric == 0):
        article, said = "an" if kind == 2 else "a", " with white at 0 (MinIsWhite)" if photometric == 0 else ""
        return f"is {article} {named} TIFF{said}"
    return ""


def from_16_bit(image: Image.Image, name: object) -> Image.Image:
    """Value / 257, rounded; a transparent value becomes white. Of the first with little of the range that is said."""
    values = np.asarray(image).astype(np.int32)
    if not _told[0] and (said := narrow(values, 65535)):
        _told[0] = 1
        log.warning("%s: 16-bit grey from %d to %d: %s; stretch it, all files alike", one_line(str(name)),
                    values.min(), values.max(), said)  # fmt: skip
    grey = (values + 128) // 257
    if isinstance(transparent := image.info.get("transparency"), int):
        grey[values == transparent] = 255
    return Image.fromarray(grey.astype(np.uint8))


def narrow(values: NDArray[Any], full: float) -> str:
    """How much of the range from 0 to `full` grey values use, if it is a small part of it; else ""."""
    share = 100 * float(values.max() - values.min()) / full
    part = next((part for part in _PARTS if 0 < share <= part), None)
    left = 256 * (part or 0) // 100 + 1
    return f"at most {part} % of the range is used, so at most {left} of 256 grey levels are left" if part else ""
