"""An endless, seeded sequence of batches. Batch k is a function of (seed, k): nothing has to be saved to resume."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from i2i_forge.data.source import Source
from i2i_forge.errors import DataError, ForgeError
from i2i_forge.seeding import generator

log = logging.getLogger("i2i_forge")

WORKER_TIMEOUT = 300  # seconds without a batch before a worker counts as hanging


class Stream:
    """Batches from sources: every source runs through its examples in an order of its own, again and again.

    Args:
        sources: what is drawn; their domains together make a batch.
        batch: examples per step and rank.
        seed: of orders and augmentation.
        name: of the stream; other names give other orders.
        rank, ranks: which share of the global batch is ours.
    """

    def __init__(
        self, sources: Sequence[Source], *, batch: int, seed: int, name: str = "main", rank: int = 0, ranks: int = 1
    ) -> None:
        self.sources, self.size, self.seed, self.name = list(sources), batch, seed, name
        self.rank, self.ranks = rank, ranks
        self._orders: dict[tuple[int, int], list[int]] = {}
        for source in self.sources:
            if len(source) == 0:
                raise DataError(f"data: a source of stream '{name}' is empty", fix="give it at least one image")

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step: domain -> N,3,H,W in [-1, 1]."""
        merged: dict[str, Tensor] = {}
        for number, source in enumerate(self.sources):
            examples = []
            for epoch, place, index in self._places(number, step):
                draws = generator(self.seed, "augment", self.name, number, epoch, place)
                examples.append(source.example(index, draws))
            merged |= _stacked(examples, source, [index for *_, index in self._places(number, step)])
        return merged

    def names(self, step: int) -> list[str]:
        """What the images of a step's batch are called."""
        return [s.name(index) for n, s in enumerate(self.sources) for *_, index in self._places(n, step)]

    def epoch(self, step: int) -> float:
        """How often the first source has been run through before this step."""
        return step * self.size * self.ranks / len(self.sources[0])

    def _places(self, number: int, step: int) -> Iterator[tuple[int, int, int]]:
        """(epoch, place in the epoch, index) of our examples of a step."""
        count = len(self.sources[number])
        start = (step * self.ranks + self.rank) * self.size
        for position in range(start, start + self.size):
            epoch, place = divmod(position, count)
            yield epoch, place, self._order(number, epoch)[place]

    def _order(self, number: int, epoch: int) -> list[int]:
        key = (number, epoch)
        if key not in self._orders:
            if len(self._orders) >= 2 * len(self.sources):
                self._orders.clear()
            draws = generator(self.seed, "order", self.name, number, epoch)
            self._orders[key] = torch.randperm(len(self.sources[number]), generator=draws).tolist()
        return self._orders[key]


def test_batch(sources: Sequence[Source], count: int) -> dict[str, Tensor]:
    """The first `count` examples of every source, without randomness; images are cropped to the smallest of them."""
    merged: dict[str, Tensor] = {}
    for source in sources:
        examples = [source.example(index % len(source), None) for index in range(count)]
        merged |= {domain: torch.stack(_same_size([e[domain] for e in examples])) for domain in examples[0]}
    return merged


def batches(
    streams: Mapping[str, Stream], first: int, last: int, workers: int, pin: bool
) -> Generator[dict[str, Any], None, None]:
    """The batches of steps first..last-1: the main stream's images, other streams nested under their names.

    Args:
        streams: by name; "main" is the main one.
        workers: processes that prepare batches; any number gives the same batches.
        pin: whether to put them into pinned memory.

    Raises:
        DataError: an image cannot be used.
        ForgeError: a worker process was killed or hangs for the second time; the first time all are started anew.
    """
    lost = False
    while first < last:
        try:
            with closing(_loaded(_loader(streams, first, last, workers, pin))) as loaded:
                for batch in loaded:
                    if isinstance(batch, ForgeError):
                        raise batch
                    yield batch
                    first += 1
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not workers or str(error).startswith("Caught"):  # a mistake in the data set's own code
                raise
            if lost:
                raise ForgeError(
                    f"a process that prepares images was lost again, at batch {first}: {str(error).splitlines()[0]}",
                    fix="the same command resumes; --set data.workers=0 prepares images without further processes",
                ) from error
            lost = True
            log.warning("the processes that prepare images are started anew at batch %d: %s", first, error)


def _loaded(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    """The loader's batches. A lost worker raises while we wait for one; torch alone raises in the midst of a step."""
    batches, waiting = iter(loader), True
    check = signal.getsignal(signal.SIGCHLD)  # torch's: raises when a worker was lost

    def check_when_waiting(number: int, frame: FrameType | None) -> None:
        if waiting and callable(check):
            check(number, frame)

    ours = loader.num_workers > 0 and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGCHLD, check_when_waiting)
    try:
        for batch in batches:
            waiting = False
            yield batch
            waiting = True
            if ours:
                check_when_waiting(signal.SIGCHLD, None)
    finally:
        del batches  # ends the workers, even while an error keeps this frame
        if ours:
            signal.signal(signal.SIGCHLD, check)


def _loader(streams: Mapping[str, Stream], first: int, last: int, workers: int, pin: bool) -> DataLoader[Any]:
    return DataLoader(
        _Steps(streams),  # type: ignore[arg-type]
        sampler=range(first, last),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        timeout=WORKER_TIMEOUT if workers else 0,
        worker_init_fn=_outlast_stop_requests,
        pin_memory=pin,
    )


def _outlast_stop_requests(worker: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM reach every process: a worker goes on, so that the step can be finished and
    saved. The second SIGTERM ends it."""
    requests: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if requests:
            os._exit(128 + number)
        requests.append(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, remember)


class _Steps:
    """Batch number -> batch; a mistake travels as a value, so that no worker's traceback is wrapped around it."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams = streams

    def __getitem__(self, step: int) -> dict[str, Any] | ForgeError:
        try:
            others = {name: s.batch(step) for name, s in self.streams.items() if name != "main"}
            return {**self.streams["main"].batch(step), **others}
        except ForgeError as error:
            return error


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
