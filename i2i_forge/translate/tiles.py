"""Translating an image in tiles: memory for one tile, whatever the image's size, and no seams.

A tile is translated with a border, its halo, as wide as the networks reach, and the halo is thrown away. What the
networks know of the whole image, the statistics of their norms, is the same for every tile. So a pixel does not depend
on the tile that it lies in: there are no seams to hide.

The statistics are those of a sample, small patches evenly spread over the image, or exact: measured on all tiles, one
norm after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import UsageError
from i2i_forge.translate.sides import Beside, blank
from i2i_forge.translate.whole_statistics import WITHOUT, Core, Statistics

PATCH = 128  # pixels, a side of the patches of a sample: many small ones tell more of an image than a few large ones
LARGE = 2**23  # pixels, 8.4 million: larger images are translated in tiles if nobody says otherwise
TILE = 1024  # pixels of a tile's side if nobody says otherwise
LEAST = 64  # pixels of a tile's side: of smaller tiles nearly all work is their halos
PROBE = 512  # pixels, the longer side of the image that shows how far the networks reach


class Tile(NamedTuple):
    """A part of an image: what the networks are shown and what is kept, as indices, and where this lies in that."""

    shown: tuple[Any, ...]
    kept: tuple[Any, ...]
    core: Core

    def of(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is shown of each image."""
        return {name: x[self.shown] for name, x in images.items()}


def tiles_of(height: int, width: int, tile: int, halo: int) -> Iterator[Tile]:
    """Tiles whose cores cover an image once; at the image's border there is no halo."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(height, top + tile), min(width, left + tile)
            first, last = max(0, top - halo), min(height, bottom + halo)
            begin, end = max(0, left - halo), min(width, right + halo)
            yield Tile(
                (..., slice(first, last), slice(begin, end)), (..., slice(top, bottom), slice(left, right)),
                Core(top - first, bottom - first, left - begin, right - begin, last - first, end - begin),
            )  # fmt: skip


class Tiling:
    """Translations in tiles along one route.

    Args:
        trainer: whose networks run.
        route: the direction.
        stride: of the networks.
    """

    def __init__(self, trainer: Trainer, route: str, stride: int) -> None:
        self.trainer, self.route, self.stride = trainer, route, stride
        self.source = trainer.routes[route][0]
        self.channels = tuple(len(trainer.spaces[domain]) for domain in trainer.routes[route])

    @torch.no_grad()
    def translate(
        self, x: Tensor, tile: int, *, exact: bool = False, beside: Beside | None = None, **given: Tensor
    ) -> Tensor:
        """One image.

        Args:
            x: 1,C,H,W in [-1, 1], the sides multiples of the stride.
            tile: pixels that a side of a core has; rounded up to a multiple of the stride.
            exact: whether statistics are measured on all of the image, which takes about half as many times as long as
                there are norms, instead of on a sample as large as a tile.
            beside: further images that the translation reads, 1,C,H,W.
            given: tensors of the pass, such as codes 1,dim; what draws give has to be given.

        Returns:
            1,C,H,W in [-1, 1].

        Raises:
            UsageError: the networks reach too far for tiles, or what is given has more than one row or has places, or
                tiles are smaller than LEAST.
        """
        if tile < LEAST:
            raise UsageError(f"tiles of {tile} pixels are too small", fix=f"give at least {LEAST}, or 0 for no tiles")
        for name, value in given.items():
            if value.dim() != 2 or len(value) != 1:
                raise UsageError(f"'{name}' has the shape {tuple(value.shape)}: a tile takes one code", fix=WITHOUT)
        side = self._multiple(tile)
        tiles = list(tiles_of(x.shape[2], x.shape[3], side, self.halo))
        images = {**(beside or {}), self.source: x}
        statistics = self.measured(images, tiles, given) if exact else self.sampled(images, side, given)
        y = x.new_empty(len(x), self.channels[1], *x.shape[2:])
        for each in tiles:
            with statistics.applied():
                y[each.kept] = each.core.of(self._run(each.of(images), given))
        return y

    def side_for(self, x: Tensor) -> int:
        """The side of tiles where nobody says it: TILE for a LARGE image that can be cut, else 0."""
        if x.shape[-2] * x.shape[-1] <= LARGE:
            return 0
        try:
            _ = self.halo
        except UsageError:  # as a whole, if memory allows
            return 0
        return TILE

    def sampled(self, images: Mapping[str, Tensor], side: int, given: Mapping[str, Tensor]) -> Statistics:
        """Statistics of patches evenly spread over the image, as many as a tile could hold."""
        statistics = Statistics()
        with statistics.applied("sampling"):
            self._run({name: self._patches(x, side) for name, x in images.items()}, given)
        return statistics

    def measured(self, images: Mapping[str, Tensor], tiles: Sequence[Tile], given: Mapping[str, Tensor]) -> Statistics:
        """Statistics of all of the image, one after the other: each needs those before it."""
        statistics = Statistics()
        while True:
            for each in tiles:
                if not statistics.measures(partial(self._run, each.of(images), given), each.core):
                    return statistics
            statistics.settle()

    @cached_property
    def halo(self) -> int:
        """How many pixels away the networks look, in multiples of the stride: what one pixel that is NaN reaches.

        Raises:
            UsageError: as far as the probe is wide.
        """
        short, long = self._multiple(64), max(self._multiple(PROBE), 3 * self.stride)
        place, reach = long // 2 // self.stride * self.stride, 0
        for shape in ((long, short), (short, long)):
            probe = torch.zeros(1, self.channels[0], *shape, device=self.trainer.device)
            images = {**blank(self.trainer, probe), self.source: probe}
            given = {name: self.trainer.infer(name, images, self.route)
                     for name in self.trainer.latents_of(self.route)}  # fmt: skip
            statistics = self.sampled(images, long, given)
            axis = shape.index(long) + 2
            probe.narrow(axis, place, self.stride).fill_(torch.nan)
            with statistics.applied():
                touched = self._run(images, given).isnan().any(1).any(5 - axis - 1)[0].nonzero().flatten()
            first, last = int(touched.min()), int(touched.max())
            if first == 0 or last == long - 1:
                raise UsageError(
                    f"a pixel that {type(self.trainer).__name__} makes depends on pixels {long // 2} and more away: "
                    "the image cannot be cut into tiles",
                    fix=WITHOUT,
                )
            reach = max(reach, place - first, last - (place + self.stride - 1))
        return self._multiple(reach)

    def _multiple(self, pixels: int) -> int:
        return math.ceil(pixels / self.stride) * self.stride

    def _patches(self, x: Tensor, side: int) -> Tensor:
        """All of an image that is not larger than a tile; else N,C,h,w: patches with as many pixels as a tile."""
        (height, width), small = x.shape[2:], self._multiple(PATCH)
        if height * width <= side**2 or min(height, width) <= small:
            return x
        count = max(1, side // small) ** 2
        rows = min(max(1, round(math.sqrt(count * height / width))), height // small, count)
        columns = min(count // rows, width // small)
        return torch.cat([
            x[:, :, top : top + small, left : left + small]
            for top in self._spread(height, small, rows) for left in self._spread(width, small, columns)
        ])  # fmt: skip

    def _spread(self, length: int, side: int, count: int) -> list[int]:
        """Where `count` patches begin, each in the middle of its share."""
        places = (((i + 0.5) * length / count - side / 2) / self.stride for i in range(count))
        return [max(0, int(place)) * self.stride for place in places]

    def _run(self, images: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        codes: dict[str, Any] = {name: value.expand(len(images[self.source]), -1) for name, value in given.items()}
        return self.trainer.infer("translation", images, self.route, **codes)
