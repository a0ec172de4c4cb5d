"""Images in shards elsewhere, as the sequences that sources are made of, and a source with the order that suits."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Sequence
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from i2i_forge.data.decode import Encoded
from i2i_forge.data.lazy import Lazy
from i2i_forge.data.packs.files import OpenFiles
from i2i_forge.data.source import Source
from i2i_forge.errors import DataError, ForgeError

from .cache import ShardCache
from .fetching import Exchanged
from .listing import Listing
from .order import ShardOrder
from .patterns import LOCAL, scheme

FIX = "the shard was exchanged, or its copy is damaged: the same command fetches it again"


class Shards:
    """Samples of shards by number; a shard is fetched when one of its images is read.

    Args:
        listing: what the shards hold.
        cache: where they are fetched to.
        most: how many are read at a time, and stay open: more would hold what the cache has removed.
    """

    def __init__(self, listing: Listing, cache: ShardCache, most: int) -> None:
        self.listing, self.cache, self.most = listing, cache, most
        self._files = OpenFiles(most)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def _ends(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.cumsum(self.listing.counts)

    def row(self, index: int, which: int) -> int:
        """The row of the first or second image (0 or 1) of a sample."""
        shard = int(np.searchsorted(self._ends, index, side="right"))
        row = int(self.listing.firsts[shard] + index - (self._ends[shard] - self.listing.counts[shard]))
        return int(self.listing.table.rows[row]["partner"]) if which else row

    def image(self, index: int, which: int) -> Encoded:
        """An image of a sample; it is read when it is decoded."""
        row = self.row(index, which)
        return Encoded(self._name(self._shard(row), row), partial(self.read, row))

    def read(self, row: int) -> bytes:
        """The bytes of an image.

        Raises:
            DataError: the shard cannot be fetched, or does not hold what is listed.
            ResourceError: there is no room for it.
        """
        shard, entry, known = self._shard(row), self.listing.table.rows[row], self.listing
        address, name = known.addresses[shard], partial(self._name, shard, row)
        file = self.cache.file(address, known.sha256[shard])
        self.cache.used(address, known.sha256[shard])
        offset, length, opening = int(entry["offset"]), int(entry["length"]), partial(self._open, shard)
        data = self._files.read(file, offset, length, name, FIX, opening)
        if zlib.crc32(data) != entry["crc"]:
            self.cache.drop(address, known.sha256[shard], self._files.close(file))
            known.forget(shard)
            raise DataError(f"{name()}: does not have the checksum that is listed", fix=FIX)
        return data

    def fetch_ahead(self, shards: Sequence[int]) -> None:
        """Fetch shards in the background. A failure is silent: who reads the shard meets it again."""
        wanted = [file for file in map(self._file, shards) if scheme(file[0]) != LOCAL]

        def fetch() -> None:
            with contextlib.suppress(ForgeError):
                for file in wanted:
                    self.cache.path(*file)

        if wanted:
            threading.Thread(target=fetch, daemon=True).start()

    def _open(self, shard: int) -> int:
        try:
            return self.cache.open(*self._file(shard))
        except Exchanged:
            self.listing.forget(shard)
            raise

    def _file(self, shard: int) -> tuple[str, int | None, str]:
        """Its address, and what it must have."""
        return self.listing.addresses[shard], self.listing.sizes[shard], self.listing.sha256[shard]

    def _shard(self, row: int) -> int:
        number = int(self.listing.table.rows[row]["shard"])
        return self._places[number]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {number: place for place, number in enumerate(self.listing.numbers.tolist())}

    def _name(self, shard: int, row: int) -> str:
        return f"{self.listing.addresses[shard]}/{self.listing.table.name(row)}"


class ShardImages(Lazy[Encoded]):
    """One image of each sample: `which` is 0 or 1."""

    def __init__(self, shards: Shards, which: int = 0) -> None:
        self.shards, self.which = shards, which

    def __len__(self) -> int:
        return len(self.shards)

    def at(self, place: int) -> Encoded:
        """One image."""
        return self.shards.image(place, self.which)


class ShardPairs(Lazy[tuple[Encoded, Encoded]]):
    """Both images of each sample; with `swap` the second one first."""

    def __init__(self, shards: Shards, *, swap: bool = False) -> None:
        self.shards, self.swap = shards, swap

    def __len__(self) -> int:
        return len(self.shards)

    def at(self, place: int) -> tuple[Encoded, Encoded]:
        """One pair."""
        return self.shards.image(place, int(self.swap)), self.shards.image(place, 1 - int(self.swap))


class ShardSource:
    """A source whose examples are asked for shard by shard.

    Args:
        source: of ShardImages or ShardPairs.
        shards: of these.
        mix: how many shards are shuffled together.

    Attributes:
        ahead: whether the next shards are fetched while some are read. The cache then has to hold both.
    """

    def __init__(self, source: Source, shards: Shards, mix: int) -> None:
        self.source, self.shards, self.mix, self.ahead = source, shards, mix, False

    def __len__(self) -> int:
        return len(self.source)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """As the source's."""
        return self.source.example(index, random)

    def name(self, index: int) -> str:
        """As the source's."""
        return self.source.name(index)

    def order(self, random: torch.Generator) -> Sequence[int]:
        """All indices: `mix` shards after `mix` shards."""
        begin = self.shards.fetch_ahead if self.ahead else None
        return ShardOrder(self.shards.listing.counts.tolist(), self.mix, random, begin)


def room(sources: Sequence[ShardSource], times: int = 1) -> int:
    """Bytes of `times` as many shards as these read at a time; those that are not fetched need no room."""
    every: dict[str, int] = {}
    needed = 0
    for shards in dict.fromkeys(source.shards for source in sources):
        both = zip(shards.listing.addresses, shards.listing.sizes, strict=True)
        fetched = {address: size for address, size in both if scheme(address) != LOCAL}
        needed += sum(sorted(fetched.values())[-shards.most * times :])
        every |= fetched
    return min(needed, sum(every.values()))
