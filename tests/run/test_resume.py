"""Stopping and going on changes nothing: not a bit of any weight, not a record."""

import hashlib
import json

import pytest
from safetensors.torch import load_file, save_file

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


def copy_with(stopped, target, change):
    """The checkpoint of the stopped run, changed, with a manifest that fits, in a folder of its own."""
    source, folder = stopped[0] / "checkpoints/step-00000002", target / "checkpoints/step-00000002"
    folder.mkdir(parents=True)
    parts = {name: load_file(source / f"{name}.safetensors") for name in ("model", "optimizers")}
    state = json.loads((source / "state.json").read_text())
    assert sorted(state) == ["format", "images", "ranks", "recipe_sha256", "settings", "step"]
    change(parts["model"], parts["optimizers"], state)
    for name, tensors in parts.items():
        save_file(tensors, folder / f"{name}.safetensors")
    (folder / "state.json").write_text(json.dumps(state))
    data = {file.name: file.read_bytes() for file in folder.iterdir()}
    files = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in data.items()}
    (folder / "MANIFEST.json").write_text(json.dumps({"format": 1, "files": files}))


@pytest.mark.parametrize("lost", ["decoder.a.", "|step"])
def test_weights_and_step_counts_that_are_missing_are_refused(tiny, stopped, tmp_path, lost):
    def lose(*parts):
        for part in parts:
            for name in [name for name in part if name.startswith(lost) or name.endswith(lost)]:
                del part[name]

    copy_with(stopped, tmp_path, lambda model, optimizers, state: lose(model, optimizers))
    with pytest.raises(CheckpointError, match="step-00000002") as caught:
        tiny.train(tmp_path, "steps=3")
    assert "resolved.yaml" in caught.value.fix


def test_another_step_changes_the_result(tiny, stopped, tmp_path):
    copy_with(stopped, tmp_path, lambda model, optimizers, state: state.update(step=1))
    assert tiny.train(tmp_path, "steps=2") != stopped[1]


def test_images_in_state_follow_from_the_step(tiny, stopped, tmp_path):
    """What is shown only: leaving it out loses nothing."""
    copy_with(stopped, tmp_path, lambda model, optimizers, state: state.pop("images"))
    assert tiny.train(tmp_path, "steps=3") == stopped[1]
