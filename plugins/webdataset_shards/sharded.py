"""Images in shards elsewhere, and a source of them with the order that suits: random, yet one shard after the other."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from i2i_forge.data import Encoded, Lazy, Source
from i2i_forge.data.packs import OpenFiles
from i2i_forge.errors import DataError, ForgeError
from i2i_forge.system import generator

from .cache import ShardCache
from .fetching import Exchanged
from .listing import Listing, Numbers

FIX = "the shard was exchanged, or its copy is damaged: the same command fetches it again"
KEPT = 3  # groups whose order is remembered


class Shards:
    """Samples of shards by number; a shard is fetched when one of its images is read.

    Args:
        listing: what the shards hold.
        cache: where they are fetched to.
        most: how many are read at a time, and stay open: more would hold what the cache has removed.
    """

    def __init__(self, listing: Listing, cache: ShardCache, most: int) -> None:
        self.listing, self.cache, self.most = listing, cache, most
        self._ends = np.cumsum(listing.counts)
        self._places = {number: place for place, number in enumerate(listing.numbers.tolist())}
        self._files = OpenFiles(FIX, most)

    def images(self, which: int = 0) -> Lazy[Encoded]:
        """The first or second image (0 or 1) of each sample; each is read when it is decoded."""
        return Lazy(int(self._ends[-1]), partial(self._image, which))

    def pairs(self, *, swap: bool) -> Lazy[tuple[Encoded, Encoded]]:
        """Both images of each sample; with `swap` the second one first."""
        return Lazy(int(self._ends[-1]), partial(self._pair, swap))

    def fetch_ahead(self, numbers: Sequence[int]) -> None:
        """Fetch shards in the background. A failure is silent: who reads the shard meets it again."""
        wanted = [shard for shard in map(self.listing.shards.__getitem__, numbers) if not shard.is_local]

        def fetch() -> None:
            with contextlib.suppress(ForgeError):
                for shard in wanted:
                    self.cache.path(shard)

        if wanted:
            threading.Thread(target=fetch, daemon=True).start()

    def _image(self, which: int, index: int) -> Encoded:
        place = int(np.searchsorted(self._ends, index, side="right"))
        row = int(self.listing.firsts[place] + index - (self._ends[place] - self.listing.counts[place]))
        if which:
            row = int(self.listing.table.rows[row]["partner"])
        return Encoded(self._name(row), partial(self._read, row))

    def _pair(self, swap: bool, index: int) -> tuple[Encoded, Encoded]:
        return self._image(int(swap), index), self._image(1 - int(swap), index)

    def _place(self, row: int) -> int:
        return self._places[int(self.listing.table.rows[row]["shard"])]

    def _name(self, row: int) -> str:
        return f"{self.listing.shards[self._place(row)].address}/{self.listing.table.name(row)}"

    def _read(self, row: int) -> bytes:
        """The bytes of an image.

        Raises:
            DataError: the shard cannot be fetched, or does not hold what is listed.
            ResourceError: there is no room for it.
        """
        place, entry, name = self._place(row), self.listing.table.rows[row], partial(self._name, row)
        shard = self.listing.shards[place]
        file = self.cache.file(shard)
        self.cache.used(shard)
        data = self._files.read(file, entry, name, lambda file: self._open(place))
        if zlib.crc32(data) != entry["crc"]:
            self.cache.drop(shard, self._files.close(file))
            self.listing.forget(place)
            raise DataError(f"{name()}: does not have the checksum that is listed", fix=FIX)
        return data

    def _open(self, place: int) -> int:
        try:
            return self.cache.open(self.listing.shards[place])
        except Exchanged:
            self.listing.forget(place)
            raise


class ShardOrder(Lazy[int]):
    """A permutation of all samples: shards in random order, and the samples of `mix` of them shuffled together.

    It is worked out group by group when it is asked for, so it costs no more than the list of shards.

    Args:
        counts: samples of each shard.
        mix: how many shards are open together. More mix better, and need more of the cache.
        draws: decides the order.
        begin: is told the shards of a group that is come to, and of the one after it.
    """

    def __init__(
        self, counts: Numbers, mix: int, draws: torch.Generator, begin: Callable[[list[int]], None] | None = None
    ) -> None:
        self.seed = int(torch.randint(1 << 62, (), generator=draws))
        shards = torch.randperm(len(counts), generator=draws).numpy()
        self.firsts = np.concatenate([[0], np.cumsum(counts)])  # of each shard, in the order of indices
        self.groups = [shards[at : at + mix] for at in range(0, len(shards), mix)]
        lengths = [int(np.take(counts, group).sum()) for group in self.groups]
        self.starts = np.concatenate([[0], np.cumsum(lengths)])  # of each group, in the order of places
        self.begin = begin
        self._known: OrderedDict[int, Numbers] = OrderedDict()
        super().__init__(int(self.starts[-1]), self._at)

    def _at(self, place: int) -> int:
        group = int(np.searchsorted(self.starts, place, side="right")) - 1
        return int(self._indices(group)[place - int(self.starts[group])])

    def _indices(self, group: int) -> Numbers:
        if group not in self._known:
            if self.begin:
                self.begin([int(shard) for shards in self.groups[group : group + 2] for shard in shards])
            indices = np.concatenate([np.arange(self.firsts[s], self.firsts[s + 1]) for s in self.groups[group]])
            draws = torch.randperm(len(indices), generator=generator(self.seed, "group", group))
            self._known[group] = indices[draws.numpy()]
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[group]


class ShardSource:
    """A source whose examples are asked for shard by shard.

    Args:
        source: of images or pairs of the shards.
        shards: of these.
        mix: how many shards are shuffled together.

    Attributes:
        ahead: whether the next shards are fetched while some are read. The cache then has to hold both.
    """

    def __init__(self, source: Source, shards: Shards, mix: int) -> None:
        self.source, self.shards, self.mix, self.ahead = source, shards, mix, False
        self.example, self.name = source.example, source.name

    def __len__(self) -> int:
        return len(self.source)

    def order(self, random: torch.Generator) -> Sequence[int]:
        """All indices: `mix` shards after `mix` shards."""
        return ShardOrder(self.shards.listing.counts, self.mix, random, self.shards.fetch_ahead if self.ahead else None)


def room(sources: Sequence[ShardSource], times: int = 1) -> int:
    """Bytes of `times` as many shards as these read at a time; those that are not fetched need no room."""
    every: dict[str, int] = {}
    needed = 0
    for shards in dict.fromkeys(source.shards for source in sources):
        fetched = {shard.address: shard.size or 0 for shard in shards.listing.shards if not shard.is_local}
        needed += sum(sorted(fetched.values())[-shards.most * times :])
        every |= fetched
    return min(needed, sum(every.values()))
