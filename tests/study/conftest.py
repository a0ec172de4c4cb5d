"""Runs to report on, and the command that does it."""

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def report(forge):
    """`forge report` as a user types it: (exit code, stdout, stderr)."""
    return lambda *arguments: forge("report", *arguments)


@pytest.fixture
def make_run(munit_run, tmp_path):
    """Makes a run of 100 recorded steps with a sample grid for each route."""

    def make(name, *, seed=0, without=""):
        run = shutil.copytree(munit_run, tmp_path / name)
        settings = (run / "resolved.yaml").read_text().replace("seed: 0", f"seed: {seed}")
        (run / "resolved.yaml").write_text(settings.replace(without, "") if without else settings)
        first = json.loads((run / "metrics.jsonl").read_text())
        lines = [{**first, "step": step, "generator/gan/ab": 1 / step} for step in range(1, 101)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for route in ("ab", "ba"):
            for step in (0, 100):
                Image.new("RGB", (90, 30), (step, 50, 200)).save(run / f"samples/{route}-step-{step:08d}.png")
        return run

    return make
