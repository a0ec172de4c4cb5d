"""`forge train --gpus N` trains in N processes; here on the CPU."""

import json

from forked import start_forge
from shrink import small

TINY = (
    "data.batch=2", "data.workers=0", *small(content_encoder="", style_encoder="", decoder="", discriminator=""),
    "run.rank_timeout=60",
)  # fmt: skip


def test_two_processes_train_together(tmp_path):
    run = tmp_path / "run"
    changes = [word for change in TINY for word in ("--set", change)]
    command = ["train", "munit_synthetic", "--steps", 2, "--run", run, *changes, "--gpus", 2, "--device", "cpu"]
    process = start_forge(command, log := tmp_path / "log", OMP_NUM_THREADS="1")
    process.join()
    assert process.exitcode == 0, log.read_text()
    assert log.read_text().count("2 steps done") == 1  # the first rank speaks
    (state,) = (run / "checkpoints").glob("step-00000002/state.json")
    assert json.loads(state.read_text())["images"] == 2 * 2  # a step has an image on each rank


def test_more_gpus_than_there_are(forge, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    code, _, err = forge("train", "munit_synthetic", "--gpus", "64")
    assert code == 2 and "--gpus 64: this machine has 1" in err and "--device cpu" in err
