"""One image of an example as augmentation moves it: an 8-bit picture, or an array of measured values or labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_forge.errors import DataError

Affine = tuple[float, float, float, float, float, float]  # of PIL: x, y of the result -> x, y of the image


class Layer(Protocol):
    """What flips, turns, resizes and crops. Nothing is changed in place."""

    height: int
    width: int

    def flipped(self) -> Self:
        """Left and right exchanged."""

    def turned(self, quarters: int) -> Self:
        """Turned anticlockwise by so many quarters."""

    def warped(self, affine: Affine) -> Self:
        """Of the same size; what comes in from outside is filled."""

    def resized(self, height: int, width: int) -> Self:
        """Another size: averaged, or of labels the nearest."""

    def cropped(self, top: int, left: int, height: int, width: int) -> Self:
        """A part; what lies outside of the image is filled."""


class Picture:
    """An 8-bit RGB picture; black comes in from outside."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self.height, self.width = image, image.height, image.width

    def flipped(self) -> Picture:
        """See Layer."""
        return Picture(image_functions().horizontal_flip(self.image))

    def turned(self, quarters: int) -> Picture:
        """See Layer."""
        turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        turn = turns[quarters % 4]
        return self if turn is None else Picture(self.image.transpose(turn))

    def warped(self, affine: Affine) -> Picture:
        """See Layer."""
        return Picture(self.image.transform(self.image.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))

    def resized(self, height: int, width: int) -> Picture:
        """See Layer."""
        return Picture(image_functions().resize(self.image, [height, width], antialias=True))

    def cropped(self, top: int, left: int, height: int, width: int) -> Picture:
        """See Layer."""
        return Picture(self.image.crop((left, top, left + width, top + height)))


class Planes:
    """Channels of numbers.

    Args:
        array: C,H,W.
        fill: what comes in from outside, for each channel.
        are_labels: of each channel whether it holds labels, between which there is nothing.
    """

    def __init__(self, array: NDArray[Any], fill: Sequence[float], are_labels: Sequence[bool]) -> None:
        self.array, self.fill, self.are_labels = array, fill, are_labels
        self.height, self.width = array.shape[1:]

    def _of(self, array: NDArray[Any]) -> Planes:
        return Planes(array, self.fill, self.are_labels)

    def flipped(self) -> Planes:
        """See Layer."""
        return self._of(self.array[:, :, ::-1])

    def turned(self, quarters: int) -> Planes:
        """See Layer."""
        return self._of(np.rot90(self.array, quarters, axes=(1, 2)))

    def warped(self, affine: Affine) -> Planes:
        """See Layer."""

        def warp(plane: Image.Image, how: Image.Resampling, fill: float) -> Image.Image:
            return plane.transform(plane.size, Image.Transform.AFFINE, affine, how, fillcolor=fill)

        return self._by_plane(warp)

    def resized(self, height: int, width: int) -> Planes:
        """See Layer."""
        if (height, width) == (self.height, self.width):
            return self
        return self._by_plane(lambda plane, how, _: plane.resize((width, height), how))

    def cropped(self, top: int, left: int, height: int, width: int) -> Planes:
        """See Layer."""
        rows, columns = slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0))
        part = self.array[:, rows, columns]
        if part.shape[1:] == (height, width):
            return self._of(part)
        whole = np.empty((len(part), height, width), part.dtype)
        whole[:] = np.asarray(self.fill)[:, None, None]
        above, before = max(-top, 0), max(-left, 0)
        whole[:, above : above + part.shape[1], before : before + part.shape[2]] = part
        return self._of(whole)

    def _by_plane(self, change: Callable[[Image.Image, Image.Resampling, float], Image.Image]) -> Planes:
        """By Pillow, in float32, which holds labels and codes of 24 bits exactly."""
        planes = []
        for plane, fill, is_label in zip(self.array, self.fill, self.are_labels, strict=True):
            how = Image.Resampling.NEAREST if is_label else Image.Resampling.BILINEAR
            image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
            planes.append(np.asarray(change(image, how, float(fill))))
        return self._of(np.stack(planes).astype(self.array.dtype))


def same_size(layers: dict[str, Any]) -> None:
    """Raises DataError unless all layers of an example have the same size."""
    sizes = {name: (layer.height, layer.width) for name, layer in layers.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} is {height}x{width}" for name, (height, width) in sizes.items())
        raise DataError(f"the images of an example differ in size: {said}", fix="bring them onto one grid")


def image_functions() -> Any:
    """torchvision's functions of images; importing them takes a good part of a second."""
    from torchvision.transforms.v2 import functional

    return functional
