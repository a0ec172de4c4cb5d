"""What is done to an image that its owner may not expect. Nothing of it keeps an image from being used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_forge.data import depths
from i2i_forge.data.decode import opened
from i2i_forge.errors import DataError

ENDINGS = {"JPEG": ("jpg", "jpeg"), "MPO": ("jpg", "jpeg"), "TIFF": ("tif", "tiff")}  # where not the name of the format


def oddities(path: Path) -> list[str]:
    """Notes on an image that `decode` accepts, from its header; of deep grey also from its values."""
    try:
        with opened(path) as image:
            return list(_notes(image, path.suffix.lower()[1:]))
    except DataError:
        return []


def _notes(image: Image.Image, ending: str) -> Iterator[str]:
    kind = image.format or ""
    if ending not in ENDINGS.get(kind, (kind.lower(),)):
        yield f"{kind} although named .{ending}"
    if image.mode in ("CMYK", "YCCK", "LAB"):
        yield f"{image.mode} is converted without a colour profile"
    elif "icc_profile" in image.info:
        yield "the colour profile is not applied"
    if image.mode == "F" or image.mode.startswith("I"):
        yield "more than 8 bits are rounded to 8"
        if narrow := depths.narrow(np.asarray(image), 1 if image.mode == "F" else 65535):
            yield narrow
    if image.has_transparency_data:
        yield "transparent parts become white"
    if _has_second_frame(image):
        yield "of several frames or pages the first is used"


def _has_second_frame(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True
