"""What the faults are injected into: forge, and two anchors to compare with."""

import hashlib
import importlib
import json
import sys
from pathlib import Path

from shrink import TINY_MUNIT

PAUSE = 0.3  # seconds that a step of an anchor takes, so that faults can hit it

# MUNIT so small that a step takes moments
TINY = (
    "data.count=7", "data.test_count=3", *TINY_MUNIT, "run.log_every=1", "run.sample_every=100000",
    "run.sample_inputs=1", "run.sample_styles=1", "run.keep=3",
)  # fmt: skip


class Forge:
    """`forge train` of a tiny recipe, with drawn shoes or a folder of images."""

    name = "forge"

    def command(self, run, *, steps=8, every=2, workers=0, data=None, batch=2, changes=()):
        """The command line of a training run that saves every so many steps; the same again resumes."""
        images = [f"data={{use: unpaired_folders, root: {data}, size: 64, batch: {batch}}}"] if data else []
        tiny = [change for change in TINY if not (data and change.startswith("data."))]
        settings = [*images, *tiny, f"data.batch={batch}", f"data.workers={workers}", f"steps={steps}",
                    f"run.checkpoint_every={every}", *changes]  # fmt: skip
        sets = [part for setting in settings for part in ("--set", setting)]
        start = [sys.executable, "-m", "i2i_forge", "train", "munit_synthetic"]
        return [*start, "--run", str(run), "--device", "cpu", *sets]

    def saved(self, run):
        """Step -> the files of its checkpoint, for all that are on disk."""
        folders = sorted((Path(run) / "checkpoints").glob("step-*"))
        return {int(f.name.removeprefix("step-")): sorted(f.iterdir()) for f in folders}

    def usable(self, run):
        """The step that the same command would resume at; 0 when there is nothing to resume from."""
        from i2i_forge.run import checkpoint

        found = checkpoint.newest(Path(run) / "checkpoints", lambda note: None)
        return found.step if found else 0

    def digest(self, run):
        """SHA-256 of all that the newest usable checkpoint holds."""
        from i2i_forge.run import checkpoint

        found = checkpoint.newest(Path(run) / "checkpoints", lambda note: None)
        assert found is not None, f"{run} holds no checkpoint"
        return _digest(found.step, {**found.model, **found.optimizers})

    def records(self, run):
        """The losses of every step, without what depends on the clock."""
        lines = map(json.loads, (Path(run) / "metrics.jsonl").read_text().splitlines())
        return [{key: value for key, value in line.items() if not key.endswith("per_second")} for line in lines]


class Anchor:
    """A training script of a page, in `anchors/`."""

    def __init__(self, name):
        self.name = name
        self.module = importlib.import_module(f"anchors.{name}")

    def command(self, run, *, steps=8, every=2, workers=0, data=None, batch=2, changes=()):
        """As for forge; `changes` are of forge's recipe and do not apply."""
        options = {"run": run, "steps": steps, "every": every, "workers": workers, "batch": batch, "data": data or "",
                   "pause": PAUSE}  # fmt: skip
        return [sys.executable, self.module.__file__, *(f"--{key}={value}" for key, value in options.items())]

    def saved(self, run):
        """Step -> the files of its checkpoint, for all that are on disk."""
        return self.module.saved(run)

    def usable(self, run):
        """The step that the same command would resume at; 0 when there is nothing to resume from."""
        return self.module.State(run).resume()

    def digest(self, run):
        """SHA-256 of the weights that it would resume from."""
        state = self.module.State(run)
        step = state.resume()
        return _digest(step, {str(place): weight.detach() for place, weight in enumerate(state.parameters())})

    def records(self, run):
        """It keeps none."""


def _digest(step, tensors):
    import torch

    total = hashlib.sha256(str(step).encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.contiguous().flatten().view(dtype=torch.uint8).numpy().tobytes())
    return total.hexdigest()


SUBJECTS = {"forge": Forge, "plain_loop": lambda: Anchor("plain_loop"), "usual_habits": lambda: Anchor("usual_habits")}
