"""TensorBoard: the losses, the sample images and the recipe of a run, written to tensorboard/ in its folder.

forge train munit_synthetic --set "run.observers=[tensorboard]"
tensorboard --logdir runs
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from i2i_forge import hookimpl
from i2i_forge.system import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.utils.tensorboard import SummaryWriter

    from i2i_forge import RunView

NAME = "tensorboard"
_writers: dict[RunView, SummaryWriter] = {}  # of the runs that are watched now


@hookimpl(tryfirst=True)  # before the first samples are drawn
def run_started(run: RunView, step: int) -> None:
    if NAME not in run.recipe.run.observers or rank() != 0:
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError("it is not installed; pip install tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    # What the last attempt wrote of steps that are now taken again is hidden.
    writer = SummaryWriter(str(run.folder.path / NAME), purge_step=step + 1 if step else None)
    writer.add_text("recipe", f"```yaml\n{run.recipe.to_yaml()}```", step)
    _writers[run] = writer
    if run.progress is not None:
        run.progress.note(f"for TensorBoard: tensorboard --logdir {run.folder.path / NAME}")


@hookimpl
def step_finished(run: RunView, step: int, report: Mapping[str, float]) -> None:
    if run in _writers and (step % run.recipe.run.log_every == 0 or step == run.recipe.steps):
        for name, value in report.items():
            _writers[run].add_scalar(name, value, step)


@hookimpl
def samples_written(run: RunView, step: int, files: Mapping[str, Path]) -> None:
    if run in _writers:
        for route, file in files.items():
            with Image.open(file) as image:
                _writers[run].add_image(f"samples/{route}", np.asarray(image), step, dataformats="HWC")


@hookimpl
def run_stopped(run: RunView) -> None:
    if run in _writers:
        _writers.pop(run).close()
