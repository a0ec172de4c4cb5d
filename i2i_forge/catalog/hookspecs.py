"""The hooks a plugin may implement. One that fails is set aside with a note; the others and the run go on.

Of several ranks that train together only the first calls the hooks of a run; they must not wait for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from i2i_forge.catalog.registry import Catalog

FORGE_API = 1  # a plugin may state the version it was written for: `FORGE_API = 1`

hookspec = pluggy.HookspecMarker("i2i_forge")
hookimpl = pluggy.HookimplMarker("i2i_forge")


class RunView(Protocol):
    """What an observer sees of a run, and may call. It must change nothing of it.

    Attributes:
        folder: where it writes: `path`, `samples`.
        recipe: what is trained, an `i2i_forge.Recipe`.
        trainer: an `i2i_forge.Trainer`, between two steps.
        test_sources: domain -> its source of test images; one source for all where images are pairs.
        progress: shows the run, by `note(text)`; None where nobody waits for it.
    """

    folder: Any
    recipe: Any
    trainer: Any
    test_sources: Any
    progress: Any

    def test_batch(self, count: int) -> dict[str, Tensor]:
        """Images spread over the test split, without randomness: domain -> N,3,H,W in [-1, 1]."""

    def tell(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every plugin."""


@hookspec
def register_components(catalog: Catalog) -> None:
    """Add encoders, decoders, discriminators, losses, trainers, datasets, metrics, formats and files to the catalog."""


@hookspec
def run_started(run: RunView, step: int) -> None:
    """Called when a run is ready to take its next step, before the first one and after every resume."""


@hookspec
def step_finished(run: RunView, step: int, report: Mapping[str, float]) -> None:
    """Called after each training step, and its checkpoint, with the number of steps done and the unweighted losses."""


@hookspec
def samples_written(run: RunView, step: int, files: Mapping[str, Path]) -> None:
    """Called by the plugin that draws sample images, with the number of steps done and each route's file."""


@hookspec
def run_stopped(run: RunView) -> None:
    """Called when a run takes no further step: it is done, it was asked to stop, or it failed."""
