"""Labelled images at the classifier's size, in memory as far as they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from i2i_forge.data.images import to_uint8
from i2i_forge.measure.mode_classifier.classifier import fingerprint
from i2i_forge.measure.mode_classifier.labelled import Labelled
from i2i_forge.measure.mode_classifier.networks import resized

BUDGET = 2 * 1024**3  # bytes for the images of one part; those beyond are decoded whenever they are used
EVERY = 1000


class Pixels:
    """Images resized to size x size and rounded to 8 bits; all of them are decoded once here.

    Args:
        images: from where.
        report: is told (images done, all images) now and then.
    """

    def __init__(self, images: Labelled, size: int, report: Callable[[int, int], None]) -> None:
        self.images, self.size = images, size
        self.modes = torch.tensor(images.modes)
        self.fingerprints: list[int] = []
        held = min(len(images), BUDGET // (3 * size * size))
        self._held = torch.empty(held, 3, size, size, dtype=torch.uint8)
        for index in range(len(images)):
            pixels = images.load(index)
            self.fingerprints.append(fingerprint(pixels))
            if index < held:
                self._held[index] = self._resized(pixels)
            if (index + 1) % EVERY == 0 or index + 1 == len(images):
                report(index + 1, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images B,3,size,size in [-1, 1] and their modes, B."""
        held = len(self._held)
        images = [self._held[n] if n < held else self._resized(self.images.load(n)) for n in numbers]
        return torch.stack(images).float() / 127.5 - 1, self.modes[list(numbers)]

    def _resized(self, pixels: Tensor) -> Tensor:
        return to_uint8(resized(pixels[None].float() / 127.5 - 1, self.size))[0]
