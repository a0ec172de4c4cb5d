"""The order of an epoch over shards: random, and yet one shard after the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from i2i_forge.data.lazy import Lazy
from i2i_forge.system.seeding import generator

KEPT = 3  # groups whose order is remembered


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
        self,
        counts: Sequence[int],
        mix: int,
        draws: torch.Generator,
        begin: Callable[[list[int]], None] | None = None,
    ) -> None:
        self.seed = int(torch.randint(1 << 62, (), generator=draws))
        shards = torch.randperm(len(counts), generator=draws).numpy()
        self.firsts = np.concatenate([[0], np.cumsum(counts)])  # of each shard, in the order of indices
        self.groups = [shards[at : at + mix] for at in range(0, len(shards), mix)]
        lengths = [int(np.take(np.asarray(counts), group).sum()) for group in self.groups]
        self.starts = np.concatenate([[0], np.cumsum(lengths)])  # of each group, in the order of places
        self.begin = begin
        self._known: OrderedDict[int, np.ndarray[Any, np.dtype[np.int64]]] = OrderedDict()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def at(self, place: int) -> int:
        """The index at a place."""
        group = int(np.searchsorted(self.starts, place, side="right")) - 1
        return int(self._indices(group)[place - int(self.starts[group])])

    def _indices(self, group: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        if group not in self._known:
            if self.begin:
                self.begin([int(shard) for shards in self.groups[group : group + 2] for shard in shards])
            indices = np.concatenate([np.arange(self.firsts[s], self.firsts[s + 1]) for s in self.groups[group]])
            draws = torch.randperm(len(indices), generator=generator(self.seed, "group", group))
            self._known[group] = indices[draws.numpy()]
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[group]
