"""What networks trained on photographs take."""

from __future__ import annotations

from torch import Tensor

from i2i_forge.errors import DataError


def need_rgb(images: Tensor, network: str) -> None:
    """Raise DataError unless the images are N,3,H,W: one channel would become three, and no one would be told."""
    if images.shape[1] != 3:
        raise DataError(
            f"{network} takes RGB, three channels, and these images have {images.shape[1]}",
            fix="use a loss of values, such as l1 or masked_l1; metrics see such images as their `display` shows them",
        )
