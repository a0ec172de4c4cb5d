"""A run so small that ten steps take seconds, and ways to look at what it left."""

import json
from pathlib import Path

import pytest
from shrink import TINY_MUNIT

from i2i_forge.engine.build import build_trainer
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run

# 7 images in batches of 2: an epoch ends within a step
SETTINGS = (
    "data.count=7", "data.test_count=3", "data.batch=2", "data.workers=0", "steps=10", *TINY_MUNIT, "run.log_every=1",
    "run.checkpoint_every=1000", "run.sample_every=1000", "run.sample_inputs=1", "run.sample_styles=1",
)  # fmt: skip


class Tiny:
    """Makes tiny runs, by default without sample grids."""

    settings = SETTINGS

    def __init__(self, host):
        self.host = host

    def recipe(self, *changes, source="munit_synthetic"):
        return read_recipe(source, set=[*SETTINGS, *changes])

    def trainer(self, *changes):
        return build_trainer(self.recipe(*changes), self.host.catalog)

    def run(self, folder, *changes, **options):
        """A run that has not started."""
        return Run(self.recipe(*changes), options.pop("host", self.host), folder, **options)

    def train(self, folder, *changes, **options):
        """Train; returns the digest of all state."""
        run = self.run(folder, *changes, **options)
        run.train()
        return checkpoint.digest(run.trainer)

    def digest(self, folder, *changes):
        """The digest of what a run's newest checkpoint holds."""
        trainer = self.trainer(*changes)
        checkpoint.restore(checkpoint.newest(Path(folder) / "checkpoints", pytest.fail), trainer)
        return checkpoint.digest(trainer)

    def metrics(self, folder):
        """The records without what depends on the clock."""
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if not k.endswith("per_second")} for line in lines]


@pytest.fixture(scope="session")
def tiny(quiet):
    return Tiny(quiet)


@pytest.fixture(scope="session")
def straight(tiny, tmp_path_factory):
    """The uninterrupted run of ten steps: its folder and its digest."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, tiny.train(folder)


@pytest.fixture
def train_command(tiny):
    """The arguments of `forge train` for a tiny run."""

    def arguments(folder, *changes):
        sets = [part for change in (*tiny.settings, *changes) for part in ("--set", change)]
        return ["train", "munit_synthetic", "--run", folder, "--device", "cpu", *sets]

    return arguments
