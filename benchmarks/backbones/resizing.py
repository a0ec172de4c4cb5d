"""Images as Inception wants them: whole numbers in [0, 255], resized in one of the two ways of the field."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] -> the whole numbers in [0, 255] that an 8-bit file would hold, float32, on the images' device."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255)


def tf1_bilinear(images: Tensor, size: int) -> Tensor:
    """B,C,H,W -> B,C,size,size as TensorFlow 1 resizes: output pixel i lies at input place i * H / size.

    Corners are aligned at the top left only, pixels have no centres, and nothing is smoothed before it is made smaller.
    """
    for axis in (3, 2):  # TensorFlow's order: along the rows first
        last = images.shape[axis] - 1
        place = torch.arange(size, device=images.device, dtype=torch.float32) * ((last + 1) / size)
        low = place.long()
        part = (place - low).view(-1, *[1] * (3 - axis))
        before, after = images.index_select(axis, low), images.index_select(axis, (low + 1).clamp(max=last))
        images = before + (after - before) * part
    return images


def pil_bicubic(images: Tensor, size: int) -> Tensor:
    """B,C,H,W in [0, 255] -> B,C,size,size as Pillow resizes float32 channels: bicubic, smoothed, then cut to [0, 255].

    The weights are float64, as in Pillow: in float32 the result is off by up to 0.007.
    """
    resized = F.interpolate(images.double(), size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255).float()
