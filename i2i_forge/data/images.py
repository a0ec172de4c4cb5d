"""Images out: exact PNG files and labelled sheets. [-1, 1] becomes [0, 255] by rounding, never stretched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from i2i_forge.errors import disk_error
from i2i_forge.system.files import made_whole

GAP = 4
INK = (60, 60, 60)
MAGMA = (  # nine of the colours of the map of this name (CC0), evenly spaced
    (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122), (229, 80, 100), (251, 135, 97),
    (254, 194, 135), (252, 253, 191),
)  # fmt: skip


def to_uint8(image: Tensor) -> Tensor:
    """[-1, 1] -> uint8 in [0, 255], same shape; values outside are clamped."""
    return ((image.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """3,H,W in [-1, 1] -> RGB image."""
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).contiguous().numpy())


def magma(grey: Tensor) -> Tensor:
    """...,1,H,W in [-1, 1] to ...,3,H,W by the colours between black, purple, red and yellow."""
    colours = torch.tensor(MAGMA, dtype=grey.dtype, device=grey.device) / 127.5 - 1
    place = (grey.squeeze(-3).clamp(-1, 1) + 1) / 2 * (len(MAGMA) - 1)
    first = place.floor().clamp(max=len(MAGMA) - 2)
    found = torch.lerp(colours[first.long()], colours[first.long() + 1], (place - first)[..., None])
    return found.movedim(-1, -3)


def save_png(image: Tensor | Image.Image, file: Path, made_by: str = "") -> None:
    """Write 3,H,W in [-1, 1], or an image, as PNG; the file appears whole or not at all, and says what it is made by.

    Raises:
        UsageError: the folder cannot be written.
        ResourceError: the disk does not take it.
    """
    picture = image if isinstance(image, Image.Image) else to_pil(image)
    text = PngInfo()
    if made_by:
        text.add_text("Software", made_by)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(file) as partial:
            picture.save(partial, format="PNG", pnginfo=text)
    except OSError as error:
        raise disk_error(file, error) from error


def sheet(rows: Sequence[Sequence[Tensor | None]], labels: Sequence[str], cell: int | None = None) -> Image.Image:
    """Rows of images under column labels.

    Args:
        rows: 3,H,W in [-1, 1] each; None leaves a cell empty.
        labels: one for each column; of one line, or several.
        cell: the longer side of a cell in pixels; by default 128 to 256, whatever is nearest to the images.
    """
    largest = max(max(image.shape[1:]) for row in rows for image in row if image is not None)
    side = cell or min(max(largest, 128), 256)
    font = ImageFont.load_default(max(10, side // 9))
    head = round(side / 9 * 1.6 * max(label.count("\n") + 1 for label in labels)) + GAP
    width, height = len(labels) * (side + GAP) + GAP, head + len(rows) * (side + GAP)
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(labels):
        draw.text((GAP + column * (side + GAP) + side / 2, head / 2), label, INK, font, anchor="mm", align="center")
    for line, row in enumerate(rows):
        for column, image in enumerate(row):
            if image is not None:
                picture = _fitted(to_pil(image), side)
                x = GAP + column * (side + GAP) + (side - picture.width) // 2
                y = head + line * (side + GAP) + (side - picture.height) // 2
                canvas.paste(picture, (x, y))
    return canvas


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)
