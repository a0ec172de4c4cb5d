"""Weights & Biases: the losses, the sample images and the recipe of a run.

    forge train munit_synthetic --set "run.observers=[wandb]"

Nothing leaves the machine unless WANDB_MODE=online says so: what is recorded is in wandb/ in the run's folder, and
`wandb sync` uploads it later. WANDB_PROJECT and the other variables of wandb hold too. A resumed run keeps its number.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from typing import TYPE_CHECKING, Any

from i2i_forge import hookimpl
from i2i_forge.system import rank, read_text, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from i2i_forge import RunView

NAME = "wandb"
_watched: dict[RunView, Any] = {}  # run -> its wandb.Run


@hookimpl(tryfirst=True)  # before the first samples are drawn
def run_started(run: RunView, step: int) -> None:
    if NAME not in run.recipe.run.observers or rank() != 0:
        return
    if importlib.util.find_spec("wandb") is None:
        raise ImportError("it is not installed; pip install wandb")
    import wandb

    online = (mode := os.environ.get("WANDB_MODE", "offline")) == "online"
    _watched[run] = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "i2i_forge"),
        id=_number(run.folder.path / "wandb-id.txt"),
        name=run.folder.path.resolve().name,
        dir=str(run.folder.path),
        config=run.recipe.to_data(),
        mode=mode,
        resume="allow" if online else None,
    )


@hookimpl
def step_finished(run: RunView, step: int, report: Mapping[str, float]) -> None:
    if run in _watched and (step % run.recipe.run.log_every == 0 or step == run.recipe.steps):
        _watched[run].log(dict(report), step=step)


@hookimpl
def samples_written(run: RunView, step: int, files: Mapping[str, Path]) -> None:
    if run in _watched:
        import wandb

        images = {f"samples/{route}": wandb.Image(str(file)) for route, file in files.items()}
        _watched[run].log(images, step=step)


@hookimpl
def run_stopped(run: RunView) -> None:
    if run in _watched:
        _watched.pop(run).finish()


def _number(file: Path) -> str:
    """The run's identity at W&B, drawn when it starts first."""
    if not file.exists():
        write_whole(file, secrets.token_hex(8))
    return read_text(file)
