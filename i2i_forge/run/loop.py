"""The loop: batches in, steps, records, checkpoints; the same call again resumes."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from i2i_forge.catalog.loading import Host
from i2i_forge.data.stream import batches, test_batch
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.image_sizes import sizes_watched
from i2i_forge.engine.report import StepReport
from i2i_forge.errors import ForgeError, Interrupted, UsageError
from i2i_forge.recipe.reading import Recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.cautions import cautions, tried, unread
from i2i_forge.run.diverged import divergence_told
from i2i_forge.run.findings import with_findings
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.forecast import seconds_per_step
from i2i_forge.run.identity import edits, identity
from i2i_forge.run.log import Display, SafeDisplay, log, logging_to
from i2i_forge.run.records import Records
from i2i_forge.run.streams import build_streams
from i2i_forge.system import distributed
from i2i_forge.system.files import one_line
from i2i_forge.system.hardware import hardware, memory_watched
from i2i_forge.system.precision import convolutions, slow_here
from i2i_forge.system.stop_requests import stop_requests

WORTH_TIMING = 100  # steps, of which the few that are taken to time them are a small part


class Run:
    """A training run in a folder.

    On several ranks each takes the steps with its share of the images; the first alone writes, shows and calls hooks.

    Args:
        recipe: what to train.
        host: the loaded plugins; their hooks are called.
        folder: where everything is written.
        device: where the steps run.
        source: the recipe's file or name, for the copy in the folder.
        progress: is told what happens.
        init_from: whose weights a new run begins with (`checkpoint.initialise`); what is resumed began with the same.

    Attributes:
        trainer, streams, test_sources: built from the recipe.
    """

    def __init__(
        self, recipe: Recipe, host: Host, folder: str | Path, *, device: torch.device | str = "cpu",
        source: str | Path | None = None, progress: Display | None = None, init_from: Sequence[str | Path] = (),
    ) -> None:  # fmt: skip
        self.host, self.init_from, self.folder = host, init_from, RunFolder(Path(folder))
        self.source, self.device = source or recipe.name, torch.device(device)
        self.leads = distributed.rank() == 0
        self.progress = progress if self.leads else None
        self._show = SafeDisplay(self.progress)
        host.require_observers(recipe.run.observers)
        known = self.folder.recipe() if self.folder.resolved.is_file() else None
        self.recipe = recipe = with_findings(recipe, host.catalog, known, lambda text: self._show("note", text))
        self.streams, self.test_sources = build_streams(recipe, host.catalog)
        self._traced = tried(recipe, host.catalog) if self.leads else None
        self.trainer = build_trainer(recipe, host.catalog, self.device, traced=self._traced)
        self._origin: Mapping[str, Any] | None = None  # of the weights that it began with
        self._images = recipe.data.batch  # per step
        follow = self._follow_folder if self.leads else None
        self._divergence_told = partial(divergence_told, self.streams, self.folder, follow)
        self._records = Records(self.folder, recipe, self.streams["main"], lambda text: self._note(text))

    def train(self) -> int:
        """Take the steps that are left; returns how many are done.

        Raises:
            Interrupted: after SIGINT, SIGTERM or SIGHUP, saved.
            DivergedError: a loss or gradient is not finite; the last checkpoint is good.
        """
        with self._held_folder(), stop_requests() as requests, convolutions(self.recipe.run.deterministic):
            done = self._resume()
            try:
                self.tell("run_started", step=done)
                self._show("start", done, self.recipe.steps)
                data, pin = self.recipe.data, self.device.type == "cuda"
                loaded = batches(self.streams, done, self.recipe.steps, data.workers, pin, data.timeout, requests)
                with closing(loaded) as loader:
                    return self._loop(loader, done, requests)
            finally:
                self._show("stop")
                self.tell("run_stopped")

    @contextmanager
    def _held_folder(self) -> Iterator[None]:
        """The folder made, locked and described, by the rank that writes it."""
        if not self.leads:
            yield
            return
        self.folder.prepare()
        with self.folder.locked() as lock, logging_to(self.folder.log):
            self.folder.remember(self.recipe, self.source, self.host, hardware(self.device))
            if not lock.keeps_out:
                self._note(f"the disk of {self.folder.path} knows no locks: let no second run into this folder")
            checkpoint.sweep(self.folder.checkpoints)
            if slow_here(self.device, self.recipe.precision):
                self._note(f"{self.device}: no bfloat16 instructions here, fp32 will be many times faster than bf16")
            for text in cautions(self.recipe, self.host.catalog, self._traced):
                self._note(f"warning: {text}")
            yield

    def _follow_folder(self) -> None:
        """See before anything is written that the path still is the folder that is locked."""
        if happened := self.folder.follow():
            self.folder.remember(self.recipe, self.source, self.host, hardware(self.device))
            self._note(happened)

    def _resume(self) -> int:
        """Take up the newest good checkpoint, which the first rank chooses; returns its step."""
        found = checkpoint.newest(self.folder.checkpoints, self._note) if self.leads else None
        step = distributed.everyone(found.step if found else None)[0]
        if step is None:
            self._begin()
        else:
            self._go_on(found or checkpoint.read(checkpoint.folder_of(self.folder.checkpoints, step)))
        done = step or 0
        distributed.check_in_step(self.trainer.parameters(), done)
        if self.leads:
            self._records.go_on_after(done)
        return done

    def _begin(self) -> None:
        if self.init_from:
            self._origin = checkpoint.initialise(self.trainer, self.init_from, self.host.catalog.formats, self._note)
            self._note(f"beginning with the weights of {', '.join(map(str, self.init_from))}")
        where, steps, every = one_line(str(self.folder.path)), self.recipe.steps, self.recipe.run.log_every
        self._note(f"{self.recipe.name} in {where}: {steps:,} steps on {self.device}, a line every {every:,}")

    def _go_on(self, found: checkpoint.Checkpoint) -> None:
        self._origin = found.state.get("initialised_from")
        if self.init_from and (self._origin or {}).get("from") != [str(source) for source in self.init_from]:
            raise UsageError(
                f"{self.folder.path} is a run already, and did not begin with {', '.join(map(str, self.init_from))}",
                fix="leave out --init-from to resume it, or choose another --run folder",
            )
        if changed := edits(found.state, self.recipe):  # resolved.yaml was compared, and may have been edited before
            self.folder.refuse(changed)
        checkpoint.restore(found, self.trainer)
        done, images = found.step, found.state.get("images", found.step * self._images)
        if images != done * self._images:
            self._note(f"it had {images / done:g} images in each step; now it has {self._images}")
        where, finished = one_line(str(self.folder.path)), f"has taken its {done} steps already; --steps N goes on"
        self._note(f"{where} {finished}" if done >= self.recipe.steps else f"resuming {where} after step {done}")

    def _loop(self, loader: Iterator[dict[str, Any]], done: int, requests: list[int]) -> int:
        settings, saved = self.recipe.run, time.monotonic()
        waiting: deque[tuple[int, Mapping[str, float]]] = deque()  # steps, this one too, and their reports
        self._records.begin(done)
        for number, batch in enumerate(loader):
            if number == 0 and self.leads:
                self._look_ahead(batch, done)
            report = self._step(batch, done)
            done += 1
            last = done == self.recipe.steps
            late = time.monotonic() - saved > 60 * settings.checkpoint_minutes
            wishes = distributed.roll_call(stop=next(iter(requests), 0), save=late)
            due = done % settings.checkpoint_every == 0 or last or wishes.save or wishes.stop
            waiting.append((done, report))
            self._record(waiting, keep=int(self.trainer.judged_late and not due))  # the GPU is at the last one
            if due or done % settings.rank_check_every == 0:
                distributed.check_in_step(self.trainer.parameters(), done)
            if due:
                self.save(done)
                saved = time.monotonic()
            self.tell("step_finished", step=done, report=report)  # what it does may take long, or end the process
            if wishes.stop and not last:
                where = f" on rank {wishes.asked}" if distributed.world_size() > 1 else ""
                raise _interrupted(wishes.stop, f"{where} after step {done}; everything is saved")
        if done < self.recipe.steps:  # a stop was asked for, and no images came
            if distributed.world_size() > 1:  # the others are in the midst of the next step
                raise _interrupted(requests[0], " while waiting for images; the last checkpoint counts")
            self._record(waiting)
            self._follow_folder()
            self.save(done)
            raise _interrupted(requests[0], f" while waiting for images after step {done}; everything is saved")
        return done

    def _look_ahead(self, batch: Mapping[str, Any], done: int) -> None:
        """Say what the first batch shows: images that nothing reads, and how long the steps take."""
        for text in unread(self.recipe, self.host.catalog, batch):
            self._note(f"warning: {text}")
        if self.recipe.steps - done < WORTH_TIMING or distributed.world_size() > 1 or self.recipe.run.compile:
            return  # then the first steps themselves tell
        self._show("note", "taking a few steps, to see how long they are ...")
        with suppress(Exception):  # the first step will say it
            other = build_trainer(self.recipe, self.host.catalog, self.device, traced=self._traced)
            self._show("foresee", done, seconds_per_step(other, batch))
        self._records.begin(done)  # their clock begins here

    def _step(self, batch: Mapping[str, Any], done: int) -> Mapping[str, float]:
        sizes = sizes_watched(trace_recipe, self.recipe, self.host.catalog)
        with self._divergence_told(), sizes, memory_watched(self.device, done):
            return (self.trainer.begin if self.trainer.judged_late else self.trainer.step)(batch, done)

    def _record(self, waiting: deque[tuple[int, Mapping[str, float]]], keep: int = 0) -> None:
        """Show and record the steps that wait for it, but the last `keep`."""
        while len(waiting) > keep:
            done, report = waiting.popleft()
            with self._divergence_told():
                losses = self.trainer.finish(report) if isinstance(report, StepReport) else report
            if self.leads:
                self._follow_folder()
                self._show("step", done, self._records.add(done, losses, self.trainer.rates(done - 1)))

    def save(self, done: int) -> None:
        """Write a checkpoint of the current state, of all ranks."""
        others = distributed.everyone(checkpoint.of_this_rank(self.trainer))[1:]
        if self.leads:
            state = {"images": done * self._images, "ranks": distributed.world_size(), **identity(self.recipe)}
            state |= {"initialised_from": self._origin} if self._origin else {}
            checkpoint.save(self.folder.checkpoints, done, self.trainer, state, self.recipe.run.keep, others)
            log.debug("saved step %d", done)

    def test_batch(self, count: int) -> dict[str, torch.Tensor]:
        """Images spread over the test split, without randomness: domain -> N,3,H,W in [-1, 1]."""
        return test_batch(self.test_sources, count)

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every plugin; one that fails in it must not cost the run."""
        if not self.leads:
            return
        for plugin, error in self.host.call(hook, run=self, **arguments):
            why = error.message if isinstance(error, ForgeError) else error  # without its fix
            self._note(f"plugin '{plugin}' failed in {hook} and is not called again: {type(error).__name__}: {why}")

    def _note(self, text: str) -> None:
        log.info(text)
        self._show("note", text)


def _interrupted(number: int, where: str) -> Interrupted:
    name = signal.Signals(number).name
    return Interrupted(f"stopped by {name}{where}", signal_number=number, fix="run the same command again to go on")
