"""The hooks a plugin may implement; each is called once per plugin, and one that fails does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from i2i_forge.registry import Catalog
    from i2i_forge.run import Run

FORGE_API = 1  # a plugin may state the version it was written for: `FORGE_API = 1`

hookspec = pluggy.HookspecMarker("i2i_forge")
hookimpl = pluggy.HookimplMarker("i2i_forge")


@hookspec
def register_components(catalog: Catalog) -> None:
    """Add encoders, decoders, discriminators, losses, trainers, datasets, metrics and formats to the catalog."""


@hookspec
def run_started(run: Run, step: int) -> None:
    """Called when a run is ready to take its next step, before the first one and after every resume."""


@hookspec
def step_finished(run: Run, step: int, report: Mapping[str, float]) -> None:
    """Called after each training step with the number of steps done and the step's unweighted losses."""
