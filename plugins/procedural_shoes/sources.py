"""Images that are drawn together, as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from . import ProceduralShoes


class Source:
    """The drawings ("a"), the renderings ("b"), or both of each shoe ("ab").

    Args:
        dataset: where the images come from.
        split: "train" or "test".
        domains: "a", "b" or "ab".
        count: how many examples there are.
    """

    def __init__(self, dataset: ProceduralShoes, split: str, domains: str, count: int) -> None:
        self.dataset = dataset
        self.split = split
        self.domains = domains
        self.count = count

    def __len__(self) -> int:
        return self.count

    def shoe(self, index: int) -> int:
        """Which shoe the example shows: unpaired, a has the even ones and b the odd ones.

        Raises:
            IndexError: there is no such example.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"example {index} of {self.count}")
        return index if self.domains == "ab" else 2 * index + (self.domains == "b")

    def example(self, index: int, random: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """The images of one example, by domain: float32 (3, size, size) in [-1, 1].

        With `random`, all of them are mirrored or none is, with probability 1/2.
        """
        shoe = self.shoe(index)
        draw = {"a": self.dataset.drawing, "b": self.dataset.photo}
        images = {domain: draw[domain](self.split, shoe) for domain in self.domains}
        mirrored = random is not None and bool(torch.rand((), generator=random) < 0.5)
        return {domain: _tensor(image[:, ::-1] if mirrored else image) for domain, image in images.items()}

    def mode(self, index: int) -> int:
        """The id of the mode of the example's rendering, an index of MODES; of "b" and "ab" only."""
        return self.dataset.mode(self.split, self.shoe(index))

    def name(self, index: int) -> str:
        """The example's file name; it tells the mode only where there is a b to it."""
        shoe = self.shoe(index)
        parts = [self.split, f"{index:05d}", self.dataset.family(self.split, shoe)]
        if "b" in self.domains:
            parts.append(self.dataset.MODES[self.mode(index)])
        return "-".join(parts) + ".png"


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(torch.float32) / 127.5 - 1.0
