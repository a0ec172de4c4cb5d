"""The embedded data set: line drawings of shoes and coloured renderings of them, made from (seed, index) on the fly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError, suggest
from i2i_forge.system import seed_of

from . import materials
from .drawing import line_drawing, rendering
from .shapes import Shape
from .silhouettes import draw_shape
from .sources import Source
from .writing import write_folders

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Shoe:
    """One shoe: its drawing and its rendering, uint8 (size, size, 3), its family of silhouettes and its mode's id."""

    drawing: np.ndarray
    photo: np.ndarray
    family: str
    mode: int


class ProceduralShoes:
    """Shoes drawn on the fly: domain a are line drawings, domain b renderings in one of eight material modes.

    A drawing holds nothing about the mode. The same (seed, split, index) is the same shoe at every size.

    Args:
        size: side of the square images in pixels, from 64 to 8192.
        paired: each drawing with its own rendering; otherwise the two domains are of different shoes.
        count: training examples of each domain.
        test_count: test examples of each domain.
        seed: another seed is another data set.
        patterns: whether seven of the modes have one, such as stripes; without, a mode is a colour.

    Raises:
        DataError: the size is out of range, or a count is.
    """

    MODES: tuple[str, ...] = materials.MODES
    LABELLED = "b"

    def __init__(
        self, size: int = 64, paired: bool = False, count: int = 10_000, test_count: int = 100, seed: int = 0,
        patterns: bool = True,
    ) -> None:  # fmt: skip
        if not 64 <= size <= 8192:
            raise DataError(f"procedural_shoes: size is {size}", fix="use a size of at least 64 and at most 8192")
        for name, value in (("count", count), ("test_count", test_count)):
            if not 1 <= value <= 10**8:
                raise DataError(
                    f"procedural_shoes: {name} is {value}", fix=f"use a {name} of at least 1 and at most {10**8}"
                )
        self.size = size
        self.paired = paired
        self.count = count
        self.test_count = test_count
        self.seed = seed
        self.patterns = patterns
        self.MODES = materials.MODES if patterns else materials.COLOURS

    def sources(self, split: str) -> list[Source]:
        """What is drawn together: one source of a and b if paired, else a source of each.

        Raises:
            DataError: there is no such split.
        """
        if split not in SPLITS:
            raise DataError(f"procedural_shoes: there is no split {split!r}", fix=suggest(split, SPLITS))
        domains = ("ab",) if self.paired else ("a", "b")
        return [Source(self, split, each, self.count if split == "train" else self.test_count) for each in domains]

    def render(self, split: str, index: int) -> Shoe:
        """The shoe with its drawing and its rendering."""
        return Shoe(
            self.drawing(split, index), self.photo(split, index), self.family(split, index), self.mode(split, index)
        )

    def drawing(self, split: str, index: int) -> np.ndarray:
        """The shoe's line drawing, uint8 (size, size, 3)."""
        return line_drawing(self._shape(split, index), self.size)

    def photo(self, split: str, index: int) -> np.ndarray:
        """The shoe's rendering, uint8 (size, size, 3)."""
        random = self._random(split, index, "material")
        material = materials.draw_material(self.mode(split, index), random, plain=not self.patterns)
        return rendering(self._shape(split, index), material, self.size)

    def family(self, split: str, index: int) -> str:
        """The shoe's family of silhouettes."""
        return self._shape(split, index).family

    def mode(self, split: str, index: int) -> int:
        """The id of the shoe's mode, an index of MODES."""
        return int(self._random(split, index, "mode").integers(len(self.MODES)))

    def write(self, out: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Write trainA, trainB, testA, testB and modes.csv into `out`; `progress` is told (images done, all images).

        Raises:
            DataError: a folder or a file cannot be written.
        """
        write_folders(self, out, progress)

    def _shape(self, split: str, index: int) -> Shape:
        return draw_shape(self._random(split, index, "shape"))

    def _random(self, split: str, index: int, purpose: str) -> np.random.Generator:
        """Each purpose has its own stream, so that a drawing cannot depend on the material."""
        return np.random.default_rng(seed_of(self.seed, "procedural_shoes", split, index, purpose))


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("procedural_shoes", ProceduralShoes)
