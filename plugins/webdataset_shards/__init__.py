"""Images in tar shards of an object store or a web server, in the naming of WebDataset.

    data:
      use: webdataset
      shards: https://host/shoes/train-{000000..000012}.tar
      test_shards: https://host/shoes/test-000000.tar

Shards are fetched whole into the cache, each read from there; `forge data pack` makes such shards, with an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import (
    HalfSource,
    ImageSource,
    PairSource,
    SideBySideSource,
    Source,
    Transform,
    need_one_of,
    tolerant,
)
from i2i_forge.data.packs import MANIFEST, Manifest
from i2i_forge.errors import DataError
from i2i_forge.system import cache_dir

from .addresses import expand
from .cache import ShardCache
from .from_pack import find_manifest, of_pack
from .listing import counted
from .sharded import Shards, ShardSource, room


class WebDatasetShards:
    """Images in WebDataset shards, of paths or addresses; {000..012} and {a,b} stand for several.

    Shards of `forge data pack` are known by the index beside them. Others are read once before the first training, to
    learn what they hold.

    Args:
        shards: the training shards whose samples have both images.
        test_shards: those of tests; by default the training shards.
        shards_a, shards_b, test_shards_a, test_shards_b: instead, the shards of each domain alone.
        a, b: what the names of the two images of a sample end in, as `edges.png`; by default `a.png`, `a.jpg` ... and
            `b.png` ..., as `forge data pack` names them. In shards of a domain alone, by default its image is what the
            index says, without one the first of a sample.
        layout: of `shards`: "pairs" has two images in a sample; "side_by_side" one, with a in the left half and b in
            the right; "auto" is what the index says, without one "pairs".
        packed: whether `forge data pack` made the shards. By default its index is looked for; where a store does not
            say that there is none, false is needed for shards of others.
        paired: whether a and b of `shards` come together; otherwise each domain has its own order.
        mix: how many shards are shuffled together. `data.timeout` has to exceed the time of fetching that many.
        cache_gb: how much of the disk shards may take; those not used for the longest time are removed. It has to hold
            `mix` shards of each order; where it holds twice as many, the next ones are fetched while some are read. On
            top come, for each worker, the shard that is fetched, and up to `mix` that other workers removed and it
            still reads.
        on_bad: "error" stops at an image that cannot be decoded; "skip" takes the next one instead. That a shard
            cannot be fetched is an error in any case.
        size, resize, flip, test_crop: see i2i_forge.data.Transform.

    Raises:
        DataError: the options do not make sense; in `sources`: shards cannot be fetched, or do not hold such images.
    """

    def __init__(
        self,
        shards: str = "",
        test_shards: str = "",
        shards_a: str = "",
        shards_b: str = "",
        test_shards_a: str = "",
        test_shards_b: str = "",
        a: str = "",
        b: str = "",
        layout: Literal["auto", "pairs", "side_by_side"] = "auto",
        packed: bool | None = None,
        paired: bool = True,
        mix: int = 4,
        cache_gb: float = 20,
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool = True,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
    ) -> None:
        need_one_of("layout", layout, ("auto", "pairs", "side_by_side"))
        need_one_of("on_bad", on_bad, ("error", "skip"))
        if bool(shards) == bool(shards_a and shards_b) or bool(shards_a) != bool(shards_b):
            raise DataError("the dataset needs shards", fix="set `shards`, or `shards_a` and `shards_b`")
        others = {"test_shards_a": test_shards_a, "test_shards_b": test_shards_b}
        if shards_a:
            others = {"test_shards": test_shards, "layout": layout if layout != "auto" else ""}
        if wrong := [option for option, value in others.items() if value]:
            form = "shards_a and shards_b" if shards_a else "shards"
            raise DataError(f"{' and '.join(wrong)} would do nothing beside {form}", fix="use the options of one form")
        if mix < 1 or cache_gb <= 0:
            raise DataError(f"mix: {mix}, cache_gb: {cache_gb}: that is not possible", fix="set both above 0")
        train = {"shards": shards} if shards else {"shards_a": shards_a, "shards_b": shards_b}
        tests = {"shards": test_shards, "shards_a": test_shards_a, "shards_b": test_shards_b}
        test = {f"test_{option}" if tests[option] else option: tests[option] or train[option] for option in train}
        self.patterns = {"train": train, "test": test}
        self.a, self.b, self.layout, self.packed, self.paired = a, b, layout, packed, paired and bool(shards)
        self.mix, self.on_bad = mix, on_bad
        self.cache = ShardCache(cache_dir() / "shards", int(cache_gb * 1e9))
        self.transform = Transform(size, resize, flip, test_crop)

    def sources(self, split: str) -> Sequence[Source]:
        """One source of {"a": 3,H,W, "b": 3,H,W}, or one of {"a": 3,H,W} and one of {"b": 3,H,W}, in [-1, 1]."""
        made = [expand(option, pattern) for option, pattern in self.patterns[split].items()]
        sources = self._together(*made) if len(made) == 1 else self._alone(*made)
        self.cache.need(room(sources))
        for source in sources:
            source.ahead = split == "train" and room(sources, 2) <= self.cache.limit
        return sources

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        train, test = self.patterns["train"], self.patterns["test"]
        return tuple("".join(option[7:] or "ab" for option in train if option in test))

    def _together(self, addresses: list[str]) -> list[ShardSource]:
        """Samples with both images."""
        endings = (self.a or "a", self.b or "b")
        swap = endings == ("b", "a")
        pack = self._pack(addresses) if swap or endings == ("a", "b") else None
        if pack:
            listing = of_pack(addresses, pack, self.cache)
            holds = "pairs" if pack.pairs else pack.layout  # two_folders without pairs: single images
            if holds == "two_folders" or self.layout not in ("auto", holds):
                fix = "set shards_a and shards_b" if holds == "two_folders" else f"set layout: {holds}, or leave it out"
                raise DataError(f"{addresses[0]} is of a pack of layout {holds}", fix=fix)
        else:
            swap, holds = False, "pairs" if self.layout == "auto" else self.layout
            listing = counted(addresses, endings if holds == "pairs" else ("",), self.cache)
        shards = Shards(listing, self.cache, self.mix if self.paired else 2 * self.mix)
        made = self._pairs(shards, swap=swap) if holds == "pairs" else self._halves(shards, swap=swap)
        return [self._by_shards(source, shards) for source in made]

    def _pack(self, addresses: list[str]) -> Manifest | None:
        pack = find_manifest(addresses, self.cache) if self.packed is not False else None
        if pack is None and self.packed:
            cause = f"{addresses[0]}: there is no {MANIFEST} beside it, or it does not name all these shards"
            raise DataError(cause, fix=f"upload {MANIFEST} and its index too, or leave out packed")
        return pack

    def _pairs(self, shards: Shards, *, swap: bool) -> list[Source]:
        if self.paired:
            return [PairSource(shards.pairs(swap=swap), self.transform)]
        return [ImageSource(name, shards.images(which ^ swap), self.transform) for which, name in enumerate("ab")]

    def _halves(self, shards: Shards, *, swap: bool) -> list[Source]:
        domains, images = ("b", "a") if swap else ("a", "b"), shards.images()
        if self.paired:
            return [SideBySideSource(images, self.transform, domains)]
        return [HalfSource(domain, images, self.transform, domains.index(domain)) for domain in ("a", "b")]

    def _alone(self, of_a: list[str], of_b: list[str]) -> list[ShardSource]:
        """Samples with an image of one domain."""
        domains = (("a", of_a, self.a), ("b", of_b, self.b))
        packs = {domain: None if ending else self._pack(addresses) for domain, addresses, ending in domains}
        for domain, addresses, _ in domains:
            if (pack := packs[domain]) and pack.layout == "side_by_side":
                fix = "set `shards`, and paired: false if each domain is to have its own order"
                raise DataError(f"{addresses[0]} has both domains side by side", fix=fix)
        # a sample of a pair has images of both, and which is which says the index or an ending
        holds_pairs = {domain: bool(pack and pack.pairs) for domain, pack in packs.items()}
        known = [ending.lower() or (domain if holds_pairs[domain] else "") for domain, _, ending in domains]
        if (both := set(of_a) & set(of_b)) and (not all(known) or known[0] == known[1]):
            cause = f"{min(both)} is of both domains, and nothing says which image of a sample is of which"
            raise DataError(cause, fix="set `a` and `b` to the endings of the two images")
        made = []
        for domain, addresses, ending in domains:
            pack = packs[domain]
            listing = of_pack(addresses, pack, self.cache) if pack else counted(addresses, (ending,), self.cache)
            shards = Shards(listing, self.cache, self.mix)
            images = shards.images(int(holds_pairs[domain] and domain == "b"))
            made.append(self._by_shards(ImageSource(domain, images, self.transform), shards))
        return made

    def _by_shards(self, source: Source, shards: Shards) -> ShardSource:
        return ShardSource(tolerant(source, self.on_bad), shards, self.mix)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("webdataset", WebDatasetShards)


CHECKS = {"webdataset": {"skip": {"runs": "it needs shards of images"}}}
