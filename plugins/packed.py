"""Images in shards that `forge data pack` wrote: the same, in the same order, as from the folder they come from."""

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
from i2i_forge.data.packs import Pack
from i2i_forge.errors import DataError


class PackedImages:
    """A pack: a folder of images as a few large files.

    Args:
        root: the folder that `forge data pack` wrote.
        paired: whether a and b are pairs, in one order and with the same augmentation; or each domain in its own
            order. By default what the pack holds: images side by side, and those of the same name and size, are pairs.
        direction: "BtoA" exchanges a and b of pairs.
        on_bad: "error" stops at an image that cannot be decoded; "skip" takes the next one instead.
        size, resize, flip, test_crop: see i2i_forge.data.Transform.

    Raises:
        DataError: the options do not make sense; in `sources`: it is no pack, or is damaged, or has no pairs.
    """

    def __init__(
        self,
        root: str,
        paired: bool | None = None,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool = True,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
    ) -> None:
        need_one_of("direction", direction, ("AtoB", "BtoA"))
        need_one_of("on_bad", on_bad, ("error", "skip"))
        self.root, self._paired, self.swap, self.on_bad = root, paired, direction == "BtoA", on_bad
        self.transform = Transform(size, resize, flip, test_crop)
        self._pack: Pack | None = None

    @property
    def paired(self) -> bool | None:
        """Whether a and b are pairs; None where the pack has to say, and cannot be read."""
        if self._paired is not None:
            return self._paired
        try:
            manifest = self._opened().manifest
        except DataError:
            return None
        return manifest.pairs or manifest.layout == "side_by_side"

    def sources(self, split: str) -> Sequence[Source]:
        """One source of {"a": 3,H,W, "b": 3,H,W}, or one of {"a": 3,H,W} and one of {"b": 3,H,W}, in [-1, 1]."""
        pack = self._opened()
        made = self._side_by_side(pack, split) if pack.manifest.layout == "side_by_side" else self._folders(pack, split)
        return [tolerant(source, self.on_bad) for source in made]

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        parts = self._opened().manifest.parts
        return tuple("".join(name[6:] or "ab" for name in parts if name.replace("train", "test") not in parts))

    def _opened(self) -> Pack:
        self._pack = self._pack or Pack(self.root)
        return self._pack

    def _side_by_side(self, pack: Pack, split: str) -> list[Source]:
        images = pack.images(pack.manifest.part(split))
        if not self.paired:
            return [HalfSource(domain, images, self.transform, half) for half, domain in enumerate(("a", "b"))]
        return [SideBySideSource(images, self.transform, ("b", "a") if self.swap else ("a", "b"))]

    def _folders(self, pack: Pack, split: str) -> list[Source]:
        a, b = (pack.manifest.part(f"{split}_{domain}") for domain in ("a", "b"))
        if not self.paired:
            return [ImageSource(name, pack.images(part), self.transform) for name, part in (("a", a), ("b", b))]
        if not pack.manifest.pairs:
            raise DataError(
                f"{self.root} has no pairs: not all images had a partner of their name and size",
                fix="forge data pack --pairs says which; or set paired: false",
            )
        return [PairSource(pack.pairs(a, swap=self.swap), self.transform)]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("packed", PackedImages)


CHECKS = {"packed": {"skip": {"runs": "it needs a folder that forge data pack wrote"}}}
