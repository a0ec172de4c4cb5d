"""A run's trainer and images, put back to a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import torch

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.stream import batches
from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError, UsageError
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import Checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import edits
from i2i_forge.run.streams import build_streams
from i2i_forge.system import distributed


class Player:
    """A run that takes its steps once more and writes nothing.

    Attributes:
        recipe, streams, trainer: of the run.
    """

    def __init__(self, folder: RunFolder, catalog: Catalog, device: torch.device | str = "cpu") -> None:
        self.folder = folder
        self.recipe = folder.recipe()
        self.streams, _ = build_streams(self.recipe, catalog)
        self.trainer = build_trainer(self.recipe, catalog, device)

    def go_to(self, step: int, warn: Callable[[str], None]) -> int:
        """The state after `step` steps, from the newest good checkpoint at or before it.

        Returns:
            The checkpoint's step; 0 without one: a run begins as its seed says.

        Raises:
            CheckpointError: checkpoints that could serve are damaged or of other networks.
            UsageError: the run has fewer steps.
        """
        if step > self.recipe.steps:
            raise UsageError(f"step {step} is beyond the run's {self.recipe.steps:,}", fix="name one of its steps")
        found = self._nearest(step, warn)
        begun = found.step if found else 0
        if found:
            checkpoint.restore(found, self.trainer)
        self.take_steps(begun, step)
        return begun

    def take_steps(self, first: int, last: int) -> dict[str, float]:
        """Take the steps after `first` done ones until `last` are done; the report of the last of them."""
        report: dict[str, float] = {}
        with closing(batches(self.streams, first, last, workers=0, pin=False)) as loaded:
            for step, batch in zip(range(first, last), loaded, strict=True):
                report = self.trainer.step(batch, step)
        return report

    def batch(self, step: int) -> tuple[Mapping[str, Any], list[str]]:
        """What a step is given, and what its images are called."""
        with closing(batches(self.streams, step, step + 1, workers=0, pin=False)) as loaded:
            return next(loaded), [name for stream in self.streams.values() for name in stream.names(step)]

    def check_repeatable(self, found: Checkpoint) -> None:
        """Raises CheckpointError when the run's steps cannot be taken again: its recipe was edited, or other numbers of
        processes trained it, as its log is of one's share."""
        if edited := edits(found.state, self.recipe):
            raise CheckpointError(
                f"the recipe of {self.folder.path} was edited after it was trained: {edited}",
                fix="give resolved.yaml the values that it was trained with",
            )
        ranks = found.state.get("ranks", distributed.world_size())
        if ranks != distributed.world_size():
            raise CheckpointError(
                f"it was trained by {ranks} processes, this is {distributed.world_size()}",
                fix=f"torchrun --nproc-per-node {ranks} -m i2i_forge checkpoint ...",
            )

    def _nearest(self, step: int, warn: Callable[[str], None]) -> Checkpoint | None:
        steps = checkpoint.list_steps(self.folder.checkpoints)
        for number in reversed([number for number in steps if number <= step]):
            try:
                found = checkpoint.read(checkpoint.folder_of(self.folder.checkpoints, number))
            except CheckpointError as error:
                warn(f"{error.message}; looking for an older one")
                continue
            self.check_repeatable(found)
            return found
        last = checkpoint.newest(self.folder.checkpoints, warn)
        if last and "initialised_from" in last.state:
            raise CheckpointError(
                f"{self.folder.path} began with weights from elsewhere, and no checkpoint is at or before step {step}",
                fix=f"name a later step; there are checkpoints of {', '.join(map(str, steps))}",
            )
        return None


def logged(folder: RunFolder) -> Iterator[tuple[int, dict[str, float]]]:
    """(steps done, losses) of every whole line of metrics.jsonl."""
    for _, entry in folder.records():
        with suppress(ValueError, TypeError):  # a loss that is no number
            yield entry["step"], {name: float(value) for name, value in entry.items() if name.count("/") == 2}
