"""From a decoded image to the tensor a network sees: flip, resize, crop, scale to [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i_forge.data.augment import NUMBERS, augmentation
from i2i_forge.data.layers import Layer, Picture
from i2i_forge.errors import DataError

L = TypeVar("L", bound=Layer)
LONGEST = 2**16  # pixels of a side


@dataclass(frozen=True)
class Draw:
    """The random part of an augmentation, free of image sizes, so that the images of a pair can share it.

    Attributes:
        flip: mirror left and right.
        top, left: where the crop lies, from 0 (top, left) to 1 (bottom, right; never drawn).
        more: what `Augment` makes something of.
    """

    flip: bool
    top: float
    left: float
    more: tuple[float, ...] = ()


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
        augment: what else training draws, see `Augment`; it is done between the flip and the resize.
        native: whether images without `resize` keep their grid; one that is smaller than the crop is filled around.

    Raises:
        DataError: `size` or `resize` is not a whole number from 1 to 65536, or `resize` is smaller than `size`; or
            `augment` does not make sense.
    """

    def __init__(
        self, size: int | list[int] = 256, resize: int | None = None, flip: bool = True, test_crop: bool = True,
        augment: Mapping[str, Any] | None = None, *, native: bool = False,
    ) -> None:  # fmt: skip
        height, width = (size, size) if isinstance(size, int) else _pair(size)
        self.native = native and resize is None
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
        self.augment = augmentation(augment)
        if self.augment and not native and (self.augment.foreground or self.augment.changed()):
            raise DataError("augment: foreground, jitter and noise are for measured images, these are 8-bit RGB",
                            fix="leave them out, or describe the images in `domains`")  # fmt: skip

    def draw(self, random: torch.Generator | None) -> Draw | None:
        """The random parameters of one example; None (test) for no generator.

        Always takes three numbers, so that turning the flip off does not move the crops; what `augment` needs is drawn
        after them.
        """
        if random is None:
            return None
        flip, top, left = torch.rand(3, generator=random).tolist()
        more = torch.rand(NUMBERS, generator=random, dtype=torch.float64).tolist() if self.augment else ()
        return Draw(self.flip and flip < 0.5, top, left, tuple(more))

    def __call__(self, image: Image.Image, draw: Draw | None) -> Tensor:
        """float32 3,H,W in [-1, 1] from an RGB image. Without a draw, as in a test."""
        return to_tensor(self.together({"": Picture(image)}, draw)[""].image)

    def together(self, layers: Mapping[str, L], draw: Draw | None) -> dict[str, L]:
        """The images of one example, which have one size, moved alike."""
        moved = {name: self._moved(layer, draw) for name, layer in layers.items()}
        if draw is None and not self.test_crop:
            return moved
        top, left = self._corner(moved, draw)
        return {name: layer.cropped(top, left, *self.size) for name, layer in moved.items()}

    def _moved(self, layer: L, draw: Draw | None) -> L:
        """Everything before the crop."""
        if draw is not None and draw.flip:
            layer = layer.flipped()
        if draw is not None and self.augment:
            upside_down, quarters = self.augment.quarters(draw.more)
            layer = layer.turned(2).flipped() if upside_down else layer
            layer = layer.turned(quarters)
            if affine := self.augment.affine(draw.more, layer.height, layer.width):
                layer = layer.warped(affine)
        crop = draw is not None or self.test_crop
        return layer if self.native else layer.resized(*self.resized(layer.height, layer.width, cover=crop))

    def _corner(self, moved: Mapping[str, Any], draw: Draw | None) -> tuple[int, int]:
        """Where the crop begins; drawn, in the middle, or so that it holds foreground."""
        layer = next(iter(moved.values()))
        free = layer.height - self.size[0], layer.width - self.size[1]
        if draw is None or min(free) < 0:
            middle = round(free[0] / 2), round(free[1] / 2)
            drawn = middle if draw is None else (int(draw.top * (free[0] + 1)), int(draw.left * (free[1] + 1)))
            return tuple(m if f < 0 else d for m, f, d in zip(middle, free, drawn, strict=True))
        for name, share in self.augment.foreground.items() if self.augment else ():
            asked = draw.more[6] < share
            found = np.argwhere(moved[name].array[0] > moved[name].fill[0]) if asked and name in moved else ()
            if len(found):
                return self._around(found[int(draw.more[11] * len(found))], free, draw)
        return int(draw.top * (free[0] + 1)), int(draw.left * (free[1] + 1))

    def _around(self, pixel: Any, free: tuple[int, int], draw: Draw) -> tuple[int, int]:
        """The corner of a crop that holds a pixel, anywhere in it."""
        wanted = (int(p) - int(d * s) for p, d, s in zip(pixel, (draw.top, draw.left), self.size, strict=True))
        top, left = (min(max(corner, 0), most) for corner, most in zip(wanted, free, strict=True))
        return top, left

    def resized(self, height: int, width: int, *, cover: bool) -> tuple[int, int]:
        """(height, width) after the resize; with `cover`, no smaller than the crop."""
        shorter, target = min(height, width), self.resize
        if cover:
            # ceil(crop * shorter / side): in whole numbers, or rounding could leave a side one pixel short
            target = max(target, -(-self.size[0] * shorter // height), -(-self.size[1] * shorter // width))
        return target * height // shorter, target * width // shorter


def to_tensor(image: Image.Image) -> Tensor:
    """float32 3,H,W in [-1, 1] from an RGB image: 0 is -1, 255 is 1."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels.float().div_(255).sub_(0.5).div_(0.5)


def _pair(size: list[int]) -> tuple[int, int]:
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise DataError(f"size: {size!r} is neither a number nor [height, width]", fix="give one or two whole numbers")
    return size[0], size[1]
