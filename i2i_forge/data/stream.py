"""An endless, seeded sequence of batches. Batch k is a function of (seed, k): nothing has to be saved to resume."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from i2i_forge.data.layers import image_functions
from i2i_forge.data.source import OrderedSource, Source
from i2i_forge.data.workers import WorkerLost, prepared
from i2i_forge.errors import DataError, ForgeError, ResourceError
from i2i_forge.system.hardware import ran_out
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import generator

log = logging.getLogger("i2i_forge")

TIMEOUT = 300.0  # seconds without a batch before a worker counts as hanging
BETWEEN_LOSSES = 1000  # batches: a run of days outlives a loss now and then, but not one that comes back


class Stream:
    """Batches from sources: every source runs through its examples in an order of its own, again and again.

    Args:
        sources: what is drawn; their domains together make a batch.
        batch: examples per step, of all ranks.
        seed: of orders and augmentation.
        name: of the stream; other names give other orders.
        rank, ranks: which share of the batch is ours; `ranks` divides it.
    """

    def __init__(
        self, sources: Sequence[Source], *, batch: int, seed: int, name: str = "main", rank: int = 0, ranks: int = 1
    ) -> None:
        self.sources, self.size, self.seed, self.name = list(sources), batch, seed, name
        self.rank, self.ranks = rank, ranks
        self._orders: dict[tuple[int, int], Sequence[int] | Tensor] = {}  # int32: 4 bytes, where a list has 36
        for source in self.sources:
            if len(source) == 0:
                raise DataError(f"data: a source of stream '{name}' is empty", fix="give it at least one image")

    @float32_by_default()
    def batch(self, step: int, begin: Callable[[str], None] = lambda name: None) -> dict[str, Tensor]:
        """The batch of a step: domain -> N,3,H,W in [-1, 1]; `begin` is told each image's name before it is read."""
        merged: dict[str, Tensor] = {}
        for number, source in enumerate(self.sources):
            examples = []
            for epoch, place, index in self._places(number, step):
                begin(source.name(index))
                draws = generator(self.seed, "augment", self.name, number, epoch, place)
                examples.append(source.example(index, draws))
            merged |= _stacked(examples, source, [index for *_, index in self._places(number, step)])
        return merged

    def names(self, step: int) -> list[str]:
        """What the images of a step's batch are called."""
        return [s.name(index) for n, s in enumerate(self.sources) for *_, index in self._places(n, step)]

    def epoch(self, step: int) -> float:
        """How often the first source has been run through before this step."""
        return step * self.size / len(self.sources[0])

    def _places(self, number: int, step: int) -> Iterator[tuple[int, int, int]]:
        """(epoch, place in the epoch, index) of our examples of a step."""
        count = len(self.sources[number])
        ours = self.size // self.ranks
        start = step * self.size + self.rank * ours
        for position in range(start, start + ours):
            epoch, place = divmod(position, count)
            yield epoch, place, int(self._order(number, epoch)[place])

    def _order(self, number: int, epoch: int) -> Sequence[int] | Tensor:
        key = (number, epoch)
        if key not in self._orders:
            if len(self._orders) >= 2 * len(self.sources):
                self._orders.clear()
            draws = generator(self.seed, "order", self.name, number, epoch)
            source = self.sources[number]
            if isinstance(source, OrderedSource):
                self._orders[key] = source.order(draws)
            else:
                self._orders[key] = torch.randperm(len(source), generator=draws).int()
        return self._orders[key]


def spread(count: int, total: int) -> list[int]:
    """The indices of `count` of `total` things, at even distances; where there are fewer, from the start again."""
    return [index * total // count if total > count else index % total for index in range(count)]


@float32_by_default()
def test_batch(sources: Sequence[Source], count: int) -> dict[str, Tensor]:
    """`count` examples spread over every source, without randomness; images are cropped to the smallest of them.

    Of a source with an order of its own they are the first, which are read together.
    """
    merged: dict[str, Tensor] = {}
    for source in sources:
        total = min(count, len(source)) if isinstance(source, OrderedSource) else len(source)
        preview: Callable[[int], list[int]] = getattr(source, "preview", partial(spread, total=total))
        examples = [source.example(index, None) for index in preview(count)]
        merged |= {domain: torch.stack(_same_size([e[domain] for e in examples])) for domain in examples[0]}
    return merged


def batches(
    streams: Mapping[str, Stream],
    first: int,
    last: int,
    workers: int,
    pin: bool,
    timeout: float = TIMEOUT,
    stop: Sequence[int] = (),
) -> Generator[dict[str, Any], None, None]:
    """The batches of steps first..last-1: the main stream's images, other streams nested under their names.

    They end early when a stop is asked for and no batch comes.

    Args:
        streams: by name; "main" is the main one.
        workers: processes that prepare batches; any number gives the same batches.
        pin: whether to put them into pinned memory.
        timeout: seconds without a batch before a worker counts as hanging.
        stop: holds something when a stop is asked for.

    Raises:
        DataError: an image cannot be used.
        ForgeError: a worker was killed or hangs, less than BETWEEN_LOSSES batches after the last time; else all
            are started anew at the same batch.
    """
    if workers:
        image_functions()  # are imported once, not in each worker
    lost_at: int | None = None
    while first < last:
        try:
            values = prepared(_Steps(streams), range(first, last), workers=workers, timeout=timeout, pin=pin, stop=stop)
            with closing(values):
                for batch in values:
                    if isinstance(batch, ForgeError):
                        raise batch
                    yield batch
                    first += 1
        except WorkerLost as error:
            if stop:
                return
            if lost_at is not None and first - lost_at < BETWEEN_LOSSES:
                raise ForgeError(
                    f"a process that prepares images was lost again, at batch {first}: {error}",
                    fix="the same command resumes. Look at what it was reading; --set data.timeout=900 waits longer "
                    "(where shards are fetched, it has to exceed the time that data.mix of them take), "
                    "--set data.workers=0 prepares images without further processes",
                ) from error
            lost_at = first
            log.warning("the processes that prepare images are started anew at batch %d: %s", first, error)


class _Steps:
    """Batch number -> batch; a mistake travels as a value, so that no worker's traceback is wrapped around it."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams = streams

    def __call__(self, step: int, begin: Callable[[str], None]) -> dict[str, Any] | ForgeError:
        try:
            others = {name: s.batch(step, begin) for name, s in self.streams.items() if name != "main"}
            return {**self.streams["main"].batch(step, begin), **others}
        except ForgeError as error:
            return error
        except (MemoryError, RuntimeError) as error:
            if (sizes := ran_out(error)) is None:
                raise
            return ResourceError(
                f"out of memory while the images of step {step + 1} were prepared{sizes}",
                fix="lower data.size, data.batch or data.workers; the same command goes on from the last checkpoint",
            )


def _stacked(examples: list[dict[str, Tensor]], source: Source, indices: list[int]) -> dict[str, Tensor]:
    try:
        return dict(default_collate(examples))
    except RuntimeError:
        sizes = {source.name(i): tuple(t.shape[1:]) for i, e in zip(indices, examples, strict=True) for t in e.values()}
        raise DataError(f"images of one batch differ in size: {sizes}", fix="set data.size to crop them") from None


def _same_size(images: list[Tensor]) -> list[Tensor]:
    height, width = (min(image.shape[axis] for image in images) for axis in (1, 2))
    return [
        image[:, (image.shape[1] - height) // 2 :, (image.shape[2] - width) // 2 :][:, :height, :width]
        for image in images
    ]
