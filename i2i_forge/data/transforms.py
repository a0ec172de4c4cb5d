"""From a decoded image to the tensor a network sees: flip, resize, crop, scale to [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i_forge.errors import DataError

LONGEST = 2**16  # pixels of a side


@dataclass(frozen=True)
class Draw:
    """The random part of an augmentation, free of image sizes, so that the images of a pair can share it.

    Attributes:
        flip: mirror left and right.
        top, left: where the crop lies, from 0 (top, left) to 1 (bottom, right; never drawn).
    """

    flip: bool
    top: float
    left: float


class Transform:
    """The augmentation of MUNIT, in its order.

    Training: a horizontal flip (probability 1/2) of the original, the shorter side resized to `resize` (bilinear,
    antialiased, aspect kept), a random crop, values to [-1, 1]. Test: resize and centre crop, or resize alone.
    An image whose other side would still be too short for the crop is resized to just cover it.

    Args:
        size: of the crop; one number, or [height, width].
        resize: the length of the shorter side before the crop; by default the smaller of `size`.
        flip: whether training flips.
        test_crop: whether test images are cropped to `size`; otherwise they keep their aspect.

    Raises:
        DataError: `size` or `resize` is not a whole number from 1 to 65536, or `resize` is smaller than `size`.
    """

    def __init__(
        self, size: int | list[int] = 256, resize: int | None = None, flip: bool = True, test_crop: bool = True
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else _pair(size)
        resize = min(height, width) if resize is None else resize
        for name, value in (("size", height), ("size", width), ("resize", resize)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
                raise DataError(
                    f"{name}: {value!r} is not a number of pixels", fix=f"give a whole number from 1 to {LONGEST}"
                )
        if resize < min(height, width):
            raise DataError(
                f"resize: {resize} is smaller than the crop, size: {size}",
                fix=f"set resize to {min(height, width)} or more, or leave it out",
            )
        self.size = (height, width)
        self.resize = resize
        self.flip = flip
        self.test_crop = test_crop

    def draw(self, random: torch.Generator | None) -> Draw | None:
        """The random parameters of one example; None (test) for no generator.

        Always takes three numbers, so that turning the flip off does not move the crops.
        """
        if random is None:
            return None
        flip, top, left = torch.rand(3, generator=random).tolist()
        return Draw(self.flip and flip < 0.5, top, left)

    def __call__(self, image: Image.Image, draw: Draw | None) -> Tensor:
        """float32 3,H,W in [-1, 1] from an RGB image. Without a draw, as in a test."""
        functional = image_functions()
        crop = draw is not None or self.test_crop
        height, width = self.resized(image.height, image.width, cover=crop)
        if draw is not None and draw.flip:
            image = functional.horizontal_flip(image)
        image = functional.resize(image, [height, width], antialias=True)
        if draw is not None:
            top = int(draw.top * (height - self.size[0] + 1))
            left = int(draw.left * (width - self.size[1] + 1))
            image = functional.crop(image, top, left, *self.size)
        elif crop:
            image = functional.center_crop(image, list(self.size))
        return to_tensor(image)

    def resized(self, height: int, width: int, *, cover: bool) -> tuple[int, int]:
        """(height, width) after the resize; with `cover`, no smaller than the crop."""
        shorter, target = min(height, width), self.resize
        if cover:
            # ceil(crop * shorter / side): in whole numbers, or rounding could leave a side one pixel short
            target = max(target, -(-self.size[0] * shorter // height), -(-self.size[1] * shorter // width))
        return target * height // shorter, target * width // shorter


def image_functions() -> Any:
    """torchvision's functions of images; importing them takes a good part of a second."""
    from torchvision.transforms.v2 import functional

    return functional


def to_tensor(image: Image.Image) -> Tensor:
    """float32 3,H,W in [-1, 1] from an RGB image: 0 is -1, 255 is 1."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels.float().div_(255).sub_(0.5).div_(0.5)


def _pair(size: list[int]) -> tuple[int, int]:
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise DataError(f"size: {size!r} is neither a number nor [height, width]", fix="give one or two whole numbers")
    return size[0], size[1]
