"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020, Differentiable Augmentation)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from i2i_forge.errors import RecipeError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KINDS = ("color", "translation", "cutout", "flip")


class Augmentation(nn.Module):
    """Random changes, different for each image, through which gradients flow. Nothing in eval mode.

    Args:
        kinds: of color (brightness, contrast, saturation), translation (up to 1/8 of the side), cutout (a square of
            half the side), flip (horizontal).
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        super().__init__()
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"augment: there is no '{kind}'; {suggest(kind, KINDS)}")
        self.kinds = tuple(kinds)
        self._pipeline: list[nn.Module] = []  # made at first use: kornia takes a while to import
        self.unrepeatable = "the gradient of augment: translation" if "translation" in kinds else ""

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W in [-1, 1] -> the same. Raises RecipeError when colours are to change, and C is not 3."""
        if self.training and "color" in self.kinds and x.shape[1] != 3:
            others = ", ".join(kind for kind in self.kinds if kind != "color")
            raise RecipeError(
                f"augment: `color` changes RGB, and the discriminator sees {x.shape[1]} channels",
                fix=f"leave it out: augment: [{others}]",
            )
        if not self.kinds or not self.training or x.is_meta:
            return x
        if not self._pipeline:
            self._pipeline = [_operation(kind) for kind in self.kinds]
        changed = (x + 1) / 2
        for operation in self._pipeline:
            changed = operation(changed)
        return changed * 2 - 1


def _operation(kind: str) -> nn.Module:
    from kornia import augmentation as k

    made: dict[str, Callable[[], nn.Module]] = {
        "color": lambda: k.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.8, p=1.0),
        "translation": lambda: k.RandomAffine(degrees=0.0, translate=(0.125, 0.125), padding_mode="border", p=1.0),
        "cutout": lambda: k.RandomErasing(scale=(0.25, 0.25), ratio=(1.0, 1.0), value=0.5, p=1.0),
        "flip": lambda: k.RandomHorizontalFlip(p=0.5),
    }
    return made[kind]()
