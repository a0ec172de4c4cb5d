"""`forge train --gpus N` trains in N processes; here on the CPU."""

import json
import os
import subprocess
import sys

from shrink import small

TINY = (
    "data.batch=2", "data.workers=0", *small(content_encoder="", style_encoder="", decoder="", discriminator=""),
    "run.rank_timeout=60",
)  # fmt: skip


def test_two_processes_train_together(tmp_path):
    run = tmp_path / "run"
    changes = [word for change in TINY for word in ("--set", change)]
    command = [sys.executable, "-m", "i2i_forge", "train", "munit_synthetic", "--steps", "2", "--run", run, *changes,
               "--gpus", "2", "--device", "cpu"]  # fmt: skip
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("2 steps done") == 1  # the first rank speaks
    (state,) = (run / "checkpoints").glob("step-00000002/state.json")
    assert json.loads(state.read_text())["images"] == 2 * 2  # a step has an image on each rank


def test_more_gpus_than_there_are(forge, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    code, _, err = forge("train", "munit_synthetic", "--gpus", "64")
    assert code == 2 and "--gpus 64: this machine has 1" in err and "--device cpu" in err
