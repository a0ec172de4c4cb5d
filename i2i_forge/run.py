"""The loop: batches in, steps, records, checkpoints; the same call again resumes."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i_forge import checkpoint, distributed
from i2i_forge.build import build_trainer, call
from i2i_forge.data.source import Dataset, Source
from i2i_forge.data.stream import Stream, batches, test_batch
from i2i_forge.errors import DivergedError, ForgeError, Interrupted, ResourceError
from i2i_forge.plugins import Host
from i2i_forge.precision import slow_here
from i2i_forge.recipe import Recipe
from i2i_forge.registry import Catalog
from i2i_forge.run_folder import RunFolder

log = logging.getLogger("i2i_forge")


class Progress(Protocol):
    """Shows a run to whoever waits for it."""

    def start(self, done: int, steps: int) -> None: ...
    def step(self, done: int, entry: Mapping[str, Any] | None) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


class Run:
    """A training run in a folder.

    Args:
        recipe: what to train.
        host: the loaded plugins; their hooks are called.
        folder: where everything is written.
        device: where the steps run.
        source: the recipe's file or name, for the copy in the folder.
        progress: is told what happens.

    Attributes:
        trainer, streams, test_sources: built from the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        host: Host,
        folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        source: str | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.recipe, self.host, self.progress = recipe, host, progress
        self.folder = RunFolder(Path(folder))
        self.source = source or recipe.name
        self.device = torch.device(device)
        self._recording = True
        host.require_observers(recipe.run.observers)
        self.streams, self.test_sources = build_streams(recipe, host.catalog)
        self.trainer = build_trainer(recipe, host.catalog, self.device)

    def train(self) -> int:
        """Take the steps that are left; returns how many are done.

        Raises:
            Interrupted: after SIGINT or SIGTERM, saved.
            DivergedError: a loss or gradient is not finite; the last checkpoint is good.
        """
        self.folder.prepare()
        with self.folder.locked(), _logging_to(self.folder.log), _stop_requests() as requests:
            plugins = {p.name: f"{p.distribution} {p.version}" for p in self.host.plugins if p.status == "ok"}
            self.folder.remember(self.recipe, self.source, plugins, _hardware(self.device))
            checkpoint.sweep(self.folder.checkpoints)
            if slow_here(self.device, self.recipe.precision):
                self._note("this processor has no bfloat16 instructions: fp32 will be many times faster than bf16")
            done = self._resume()
            try:
                self.tell("run_started", step=done)
                self._show("start", done, self.recipe.steps)
                workers, pin = self.recipe.data.workers, self.device.type == "cuda"
                with closing(batches(self.streams, done, self.recipe.steps, workers, pin)) as loader:
                    return self._loop(loader, done, requests)
            finally:
                self._show("stop")
                self.tell("run_stopped")

    def _resume(self) -> int:
        found = checkpoint.newest(self.folder.checkpoints, self._note)
        done = 0
        if found is not None:
            checkpoint.restore(found, self.trainer)
            done = found.step
            finished = done >= self.recipe.steps
            self._note(
                f"{self.folder.path} has taken its {done} steps already; --steps N goes on"
                if finished
                else f"resuming {self.folder.path} after step {done}"
            )
        self.folder.forget_after(done)
        return done

    def _loop(self, loader: Iterator[dict[str, Any]], done: int, requests: list[int]) -> int:
        settings = self.recipe.run
        logged = saved = time.monotonic()
        logged_at = done
        for batch in loader:
            report = self._step(batch, done)
            done += 1
            entry = None
            last = done == self.recipe.steps
            if done % settings.log_every == 0 or last:
                now = time.monotonic()
                entry = self._record(done, report, (done - logged_at) / max(now - logged, 1e-9))
                logged, logged_at = now, done
            self._show("step", done, entry)
            self.tell("step_finished", step=done, report=report)
            late = time.monotonic() - saved > 60 * settings.checkpoint_minutes
            if done % settings.checkpoint_every == 0 or last or late or requests:
                self.save(done)
                saved = time.monotonic()
            if requests and not last:
                raise Interrupted(
                    f"stopped by {signal.Signals(requests[0]).name} after step {done}; everything is saved",
                    signal_number=requests[0],
                    fix="run the same command again to go on",
                )
        return done

    def _step(self, batch: Mapping[str, Any], done: int) -> dict[str, float]:
        try:
            return self.trainer.step(batch, done)
        except DivergedError as error:
            images = [name for stream in self.streams.values() for name in stream.names(done)]
            raise DivergedError(
                f"{error.message}\nimages of this step: {', '.join(images[:8])}{' ...' if len(images) > 8 else ''}",
                fix=error.fix,
            ) from error
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"out of memory on {self.device} at step {done}: {str(error).splitlines()[0]}",
                fix="lower data.batch or data.size, or use --precision bf16",
            ) from error

    def save(self, done: int) -> None:
        """Write a checkpoint of the current state."""
        if distributed.rank() == 0:
            state = {"images": done * self.recipe.data.batch * distributed.world_size()}
            checkpoint.save(self.folder.checkpoints, done, self.trainer, state, self.recipe.run.keep)
            log.debug("saved step %d", done)

    def test_batch(self, count: int) -> dict[str, Tensor]:
        """The first images of the test split, without randomness: domain -> N,3,H,W in [-1, 1]."""
        return test_batch(self.test_sources, count)

    def _record(self, done: int, report: Mapping[str, float], speed: float) -> dict[str, Any]:
        images = self.recipe.data.batch * distributed.world_size()
        entry = {"step": done, "epoch": round(self.streams["main"].epoch(done), 4), "steps_per_second": round(speed, 4),
                 "images_per_second": round(speed * images, 4), **report}  # fmt: skip
        try:
            self.folder.record(entry)
        except OSError as error:
            if self._recording:
                self._note(f"{self.folder.metrics} cannot be written ({error.strerror}); training goes on without it")
            self._recording = False
        return entry

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every plugin; one that fails in it must not cost the run."""
        for plugin, error in self.host.call(hook, run=self, **arguments):
            self._note(f"plugin '{plugin}' failed in {hook} and is not called again: {type(error).__name__}: {error}")

    def _note(self, text: str) -> None:
        log.info(text)
        self._show("note", text)

    def _show(self, event: str, *arguments: Any) -> None:
        if self.progress is not None:
            getattr(self.progress, event)(*arguments)


def build_streams(recipe: Recipe, catalog: Catalog) -> tuple[dict[str, Stream], Sequence[Source]]:
    """The training streams by name, and the sources of the main stream's test split."""
    streams: dict[str, Stream] = {}
    tests: Sequence[Source] = []
    for name, spec in recipe.data.streams.items():
        component = catalog.datasets.get(spec.use)
        dataset: Dataset = call(component, spec.options, "data" if name == "main" else f"data.{name}")
        streams[name] = Stream(
            dataset.sources("train"), batch=spec.batch, seed=recipe.seed, name=name,
            rank=distributed.rank(), ranks=distributed.world_size(),
        )  # fmt: skip
        if name == "main":
            tests = dataset.sources("test")
    return streams, tests


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """The signals that asked to stop. The first lets the step finish; a second SIGINT stops at once."""
    requests: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if requests and number == signal.SIGINT:
            raise KeyboardInterrupt
        requests.append(number)

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, remember)
    except ValueError:  # not the main thread: signals are the program's own business
        pass
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    except ForgeError as error:
        log.error("%s", error)
        raise
    except BaseException:
        log.exception("the run failed")
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
