"""A pool of past translations for the discriminator (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.errors import UsageError


class ImagePool(nn.Module):
    """Hands out the images it is given or, half of the time once it is full, older ones, which these replace.

    A trainer's state: what it holds is checkpointed, and its random numbers are torch's own on the CPU, which a trainer
    seeds for every tensor. In eval mode, and for tensors without data, it does nothing.

    Args:
        size: how many images it holds; 0 hands out what it is given.
    """

    images: Tensor  # held,C,H,W; unknown until the first image comes

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"size is {size}, it must be 0 or more")
        self.size = size
        self.register_buffer("images", torch.empty(0))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H,W without gradient. Raises UsageError when the pool holds images of another size."""
        images = images.detach()
        if self.size == 0 or not self.training or images.is_meta:
            return images
        if len(self.images) == 0:
            self.images = images[:0]
        elif self.images.shape[1:] != images.shape[1:]:
            held, given = ("x".join(map(str, each.shape[1:])) for each in (self.images, images))
            raise UsageError(
                f"the image pool holds images of {held}, it is given one of {given}",
                fix="train with images of one size, or set the pool's size to 0",
            )
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images = torch.cat([self.images, image[None]])
            return image
        slot = self.draw()
        if slot is None:
            return image
        older = self.images[slot].clone()
        self.images[slot] = image
        return older

    def draw(self) -> int | None:
        """The place whose image is handed out and replaced, or None: the image passes."""
        if torch.rand(()) <= 0.5:
            return None
        return int(torch.randint(self.size, ()))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}images")
        if stored is not None:  # as many images as it held then, of their size
            self.images = self.images.new_empty(stored.shape, dtype=stored.dtype)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Shown by print(module)."""
        return str(self.size)
