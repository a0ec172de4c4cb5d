"""One encoded image to RGB, or a DataError that names the file, the cause and the fix.

An image is a file, or `Encoded`: what was a file before it was packed. Both go by the same checks.

What is not 8-bit RGB becomes so by these rules:

    16-bit grey                      value / 257, rounded (never clipped); said once if little of the range is used
    32-bit or signed integer TIFF    refused: it does not say which value is white
    deeper colour, other bands       refused by what they are (`depths.py`)
    float (TIFF, PFM)                [0, 1] is scaled to [0, 255]; any other value is refused
    alpha, transparent colour        composited on white
    palette, 1 bit, grey, CMYK       converted (an ICC profile is not applied)
    EXIF orientation                 applied
    several frames or pages          the first
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from i2i_forge.data import depths
from i2i_forge.data.file_checks import MAX_PIXELS, bad, check_file, reading
from i2i_forge.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")  # never EPS and the like, which start other programs
MAX_ASPECT = 64  # resizing the shorter side of a 1 x 10000 image would make a giant of it

_T = Image.Transpose
_TURNS = {  # what makes an EXIF orientation upright
    2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM,
    5: _T.TRANSPOSE, 6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90,
}  # fmt: skip


OnBad = Literal["error", "skip"]  # what a user may choose to be done with images that cannot be used


@dataclass(frozen=True)
class Encoded:
    """An image that is no file of its own.

    Attributes:
        name: what messages call it.
        read: gives what would be in its file.
    """

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        return self.name


def check_header(path: str | Path | Encoded) -> tuple[int, int]:
    """(width, height) of the upright image, from the header alone.

    Raises:
        DataError: the file is no image that `decode` accepts. Damage behind the header shows only in `decode`.
    """
    with opened(path) as image:
        if image.mode == "F":
            _to_rgb(image, path)  # whether it is accepted depends on its values
        return _upright_size(image)


def check_jpeg_header(head: bytes) -> tuple[int, int] | None:
    """What check_header says of a JPEG file that begins with these bytes, if they tell; else None.

    It takes half the time. Pillow reads a JPEG's header from its beginning on, so it finds the same in these bytes, or
    that they are not enough.
    """
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    try:
        with Image.open(io.BytesIO(head), formats=("JPEG",)) as image:
            _check_image(image, "")
            return _upright_size(image) if image.format == "JPEG" else None
    except Exception:  # as in `opened`: whatever is wrong, check_header finds it too
        return None


def decode(path: str | Path | Encoded) -> Image.Image:
    """The image as upright 8-bit RGB.

    Raises:
        BadImage: empty, truncated, not one of FORMATS, more than MAX_PIXELS, longer than MAX_ASPECT times its other
            side, or of values without a stated range.
        DataError: missing, not a regular file, or it cannot be read.
    """
    with opened(path) as image:
        return upright_rgb(image, path)


def upright_rgb(image: Image.Image, name: str | Path | Encoded) -> Image.Image:
    """An image that is open already, as `decode` gives it; `name` is what messages call it."""
    orientation = _orientation(image)  # before the pixels, as check_header sees it
    image.load()
    rgb = _to_rgb(image, name)
    return rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb


@contextmanager
def opened(path: str | Path | Encoded) -> Iterator[Image.Image]:
    """The file with its header read and checked; whatever Pillow raises inside the block becomes a DataError."""
    open_file = _content_of(path) if isinstance(path, Encoded) else partial(open_clamped, path)
    with reading(path), open_file() as file, _named(file, path), Image.open(file, formats=FORMATS) as image:
        _check_image(image, path)
        if deeper := depths.refusal(file, image):
            raise bad(path, deeper, depths.ACCEPTED)
        yield image


@contextmanager
def _named(file: BinaryIO, path: str | Path | Encoded) -> Iterator[None]:
    """What Pillow finds out by the header, in our words."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(path, "too many") from error
    except UnidentifiedImageError as error:
        if deeper := depths.refusal(file, None):
            raise bad(path, deeper, depths.ACCEPTED) from error
        cause = f"is not a readable JPEG, PNG, WebP, BMP, TIFF or PPM image; {_beginning(file)}"
        raise bad(path, cause, "convert it to one of these formats, or remove it") from error


def _content_of(image: Encoded) -> Callable[[], BinaryIO]:
    data = image.read()
    if not data:
        raise bad(image, "is empty (0 bytes)", "pack it again without this image")
    return partial(io.BytesIO, data)


def open_clamped(path: str | Path) -> BinaryIO:
    """A file that `check_file` accepts, never asked for more than it holds, whatever its header claims."""
    size = check_file(path)
    return _Clamped(Path(path).open("rb", buffering=0), size)


class _Clamped(io.BufferedReader):
    """A file that is never asked for more than it holds: Pillow asks for what a header claims, up to 4 GB at once."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__(file)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        return super().read(-1 if size is None else min(size, self._size))


def _too_many_pixels(path: str | Path | Encoded, count: str) -> DataError:
    return bad(path, f"has {count} pixels, more than {MAX_PIXELS:,}", "make it smaller, or remove it")


def _check_image(image: Image.Image, path: str | Path | Encoded) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(path, f"{width}x{height}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise bad(path, f"is {width}x{height}, longer than {MAX_ASPECT} times its other side", "crop or remove it")
    if image.mode == "I" and image.format == "TIFF":
        raise bad(path, "has 32-bit or signed integer values, of unknown range", "convert it to 8 or 16 bit")


def _beginning(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(24)
    is_text = head.isascii() and b"\0" not in head
    return f"it holds text: {head.decode()!r}" if is_text else f"it begins {head[:12]!r}"


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8. A damaged EXIF block counts as upright: the pixels are what matters."""
    # Pillow turns TIFFs itself; asking a PNG without EXIF would decode all of it
    if image.format == "TIFF" or (image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys()):
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _to_rgb(image: Image.Image, path: str | Path | Encoded) -> Image.Image:
    if image.mode.startswith("I"):
        return depths.from_16_bit(image, path).convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        if not (values.min() >= 0 and values.max() <= 1):  # NaN is refused too
            raise bad(path, "has float values outside [0, 1]", "scale them to [0, 1], or convert it to 8 or 16 bit")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
