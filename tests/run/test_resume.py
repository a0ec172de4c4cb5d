"""Stopping and going on changes nothing: not a bit of any weight, not a record."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from small_runs import sealed

from i2i_forge.errors import CheckpointError

# until which step, with how many workers; 7 images in batches of 2: step 4 crosses the end of an epoch, step 7 ends one
LEGS = {1: 0, 2: 0, 3: 2, 4: 2, 7: 0, 8: 2, 10: 2}


def test_stopped_and_resumed_is_bit_for_bit_the_same(tiny, straight, tmp_path):
    """After the first step, within an epoch, before its end, within the step of its end, at an end, after it; and with
    other numbers of workers."""
    for steps, workers in LEGS.items():
        digest = tiny.train(tmp_path, f"steps={steps}", f"data.workers={workers}")
    assert digest == straight[1]
    assert tiny.metrics(tmp_path) == tiny.metrics(straight[0])
    assert [m["step"] for m in tiny.metrics(tmp_path)] == list(range(1, 11))


def test_bf16(tiny, tmp_path):
    options = ("precision=bf16", "data.batch=1")
    digest = tiny.train(tmp_path / "straight", *options, "steps=2")
    tiny.train(tmp_path / "stopped", *options, "steps=1")
    assert tiny.train(tmp_path / "stopped", *options, "steps=2") == digest
    assert tiny.train(tmp_path / "fp32", "data.batch=1", "steps=2") != digest


def test_what_a_checkpoint_holds_is_what_the_trainer_held(tiny, straight):
    assert tiny.digest(straight[0]) == straight[1]


def test_schedules_and_optimizers_of_several_entries(tiny, tmp_path):
    changes = (
        "steps=6", "optimizers.default.schedule=step(2, 0.5)", "optimizers.default.clip=0.5",
        "optimizers.dis={use: rmsprop, lr: 1.0e-4, roles: [discriminator], momentum: 0.5}",
        "phases.generator.minimize.image=linear(10, 0, steps=5) * l1(reconstruction, source)",
        "phases.discriminator.every=2",
    )  # fmt: skip
    digest = tiny.train(tmp_path / "straight", *changes)
    for stop in (1, 3):
        tiny.train(tmp_path / "stopped", *changes, f"steps={stop}")
    assert tiny.train(tmp_path / "stopped", *changes) == digest


# ---- what a checkpoint must hold: see test_resume_matrix.py too ---------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tiny, tmp_path_factory):
    """A run of two steps; going on for one more gives the digest."""
    folder = tmp_path_factory.mktemp("stopped")
    tiny.train(folder, "steps=2")
    whole = tmp_path_factory.mktemp("whole")
    return folder, tiny.train(whole, "steps=3")


@pytest.fixture
def copy(stopped, tmp_path):
    """A copy of its checkpoint, in a folder of its own."""
    return Path(shutil.copytree(stopped[0] / "checkpoints", tmp_path / "checkpoints")) / "step-00000002"


@pytest.mark.parametrize("lost", ["decoder.a.", "|step"])
def test_weights_and_step_counts_that_are_missing_are_refused(tiny, copy, tmp_path, lost):
    for file in (copy / "model.safetensors", copy / "optimizers.safetensors"):
        save_file({n: v for n, v in load_file(file).items() if not (n.startswith(lost) or n.endswith(lost))}, file)
    sealed(copy)
    with pytest.raises(CheckpointError, match="step-00000002") as caught:
        tiny.train(tmp_path, "steps=3")
    assert "resolved.yaml" in caught.value.fix


def test_another_step_changes_the_result_and_images_follow_from_it(tiny, stopped, copy, tmp_path):
    """The number of images is shown only: leaving it out loses nothing."""
    state = json.loads((copy / "state.json").read_text())
    assert sorted(state) == ["format", "images", "ranks", "recipe_sha256", "settings", "step"]
    del state["images"]
    for step, as_it_was in ((2, True), (1, False)):
        shutil.copytree(copy, tmp_path / str(step) / "checkpoints/step-00000002")
        (tmp_path / f"{step}/checkpoints/step-00000002/state.json").write_text(json.dumps(state | {"step": step}))
        sealed(tmp_path / f"{step}/checkpoints/step-00000002")
        assert (tiny.train(tmp_path / str(step), f"steps={step + 1}") == stopped[1]) == as_it_was
