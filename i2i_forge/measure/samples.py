"""What is measured: translations of a list of inputs, wherever they come from, and real images beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from i2i_forge.data.images import to_uint8
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.measure.batch import Batch

Share = tuple[int, int]  # our rank, and how many there are


@dataclass
class Item:
    """One image on its way into a batch."""

    image: Tensor
    input: int
    draw: int
    name: str
    source: Tensor | None = None
    truth: Tensor | None = None
    mask: Tensor | None = None
    group: str = ""
    beside: Mapping[str, Tensor] = field(default_factory=dict)  # what translating it reads, C,H,W


@dataclass
class Samples:
    """Translations of a list of inputs, and real images beside them.

    Attributes:
        model: what made the translations, for the record: "name", "weights_sha256" and more.
        data: what was translated, for the record: "name", "split".
        inputs: how many inputs there are.
        draws: how many translations each has; None: as many as one asks for.
        is_deterministic: each input has one translation, always the same.
        has: of "sources", "truths", "mask".
        space, source_space: what the numbers of the translations, real images and true outputs are, and of the inputs.
        codec: the format the translations were stored in, "none" when they come straight from the networks.
        warnings: what a reader of any number must know.
        seen: what this rank has read: "inputs", and real images by split ("test", "train"), each number -> digest;
            "translations" that were files, (input, draw) -> digest.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    inputs: int
    draws: int | None = None
    is_deterministic: bool = False
    has: frozenset[str] = frozenset()
    space: ImageSpace = RGB8
    source_space: ImageSpace = RGB8
    codec: str = "none"
    warnings: list[str] = field(default_factory=list)
    seen: dict[str, dict[Any, str]] = field(
        default_factory=lambda: {what: {} for what in ("inputs", "test", "train", "translations")}
    )

    def translations(self, seed: int, draws: Sequence[int], batch: int, share: Share = (0, 1)) -> Iterator[Batch]:
        """The first draws[i] translations of input i, for the inputs that are our share, in order."""
        return self._batched(self.translated(range(share[0], len(draws), share[1]), seed, draws, batch), batch)

    def real(self, split: str, count: int, batch: int, share: Share = (0, 1)) -> Iterator[Batch]:
        """The first `count` real images of the target domain that are our share, in order."""
        numbers = range(share[0], min(count, self.real_count(split)), share[1])
        return self._batched((self.real_item(split, number) for number in numbers), batch)

    def _batched(self, items: Iterable[Item], size: int) -> Iterator[Batch]:
        for group in grouped(items, size):
            yield _batch(group, self.space, self.source_space)

    def translated(self, numbers: Sequence[int], seed: int, draws: Sequence[int], batch: int) -> Iterator[Item]:
        """The first draws[i] translations of each of some inputs i; a network may be given `batch` images at once."""
        raise NotImplementedError

    def real_count(self, split: str) -> int:
        """How many real images of the target domain there are."""
        raise NotImplementedError

    def real_item(self, split: str, number: int) -> Item:
        """One of them."""
        raise NotImplementedError


def grouped(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """At most `size` items at a time, with images of one shape, in order."""
    group: list[Item] = []
    for item in items:
        if group and (len(group) == size or group[0].image.shape != item.image.shape):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _batch(group: list[Item], space: ImageSpace, source_space: ImageSpace) -> Batch:
    sources, truths, masks = ([getattr(item, what) for item in group] for what in ("source", "truth", "mask"))
    return Batch(
        torch.stack([item.image for item in group]),
        [item.input for item in group],
        [item.draw for item in group],
        [item.name for item in group],
        torch.stack(sources) if sources[0] is not None else None,
        torch.stack(truths) if truths[0] is not None else None,
        torch.stack(masks) if masks[0] is not None else None,
        [item.group or item.name for item in group],
        space,
        source_space,
    )


def digest(image: Tensor) -> str:
    """What identifies an image, 3,H,W in [-1, 1]: its shape and its pixels in 8 bits. 16 hexadecimal digits."""
    pixels = to_uint8(image).contiguous().numpy()
    return hashlib.blake2b(pixels.tobytes(), digest_size=8, key=repr(pixels.shape).encode()).hexdigest()


def list_digest(digests: dict[int, str]) -> str:
    """SHA-256 of a list of images, in the order of their numbers."""
    listed = "\n".join(digests[number] for number in sorted(digests))
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()  # of files they are names
