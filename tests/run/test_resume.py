"""Stopping and going on changes nothing: not a bit of any weight, not a record."""

import hashlib
import json

import pytest
from safetensors.torch import load_file, save_file

from i2i_forge.errors import CheckpointError, ForgeError
from i2i_forge.run import checkpoint

STEPS = 10
# 7 images in batches of 2: step 4 crosses the end of the first epoch (7 of 8 images), the second ends with step 7
STOPS = {"after the first": 1, "within an epoch": 2, "before the end of an epoch": 3, "within the step of an end": 4,
         "at the end of an epoch": 7, "after the end of an epoch": 8}  # fmt: skip


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_stopped_and_resumed_is_bit_for_bit_the_same(tiny, straight, tmp_path, stop):
    folder, digest = straight
    tiny.train(tmp_path, f"steps={stop}")
    assert tiny.train(tmp_path) == digest
    assert tiny.metrics(tmp_path) == tiny.metrics(folder)
    assert [m["step"] for m in tiny.metrics(folder)] == list(range(1, STEPS + 1))


@pytest.mark.parametrize(("before", "after"), [(2, 2), (0, 2), (2, 0)])
def test_workers_do_not_matter_nor_does_their_change(tiny, straight, tmp_path, before, after):
    folder, digest = straight
    tiny.train(tmp_path, "steps=4", f"data.workers={before}")
    assert tiny.train(tmp_path, f"data.workers={after}") == digest
    assert tiny.metrics(tmp_path) == tiny.metrics(folder)


def test_stopped_again_and_again(tiny, straight, tmp_path):
    for steps in (1, 2, 3, 7, 9, STEPS):
        digest = tiny.train(tmp_path, f"steps={steps}")
    assert digest == straight[1]


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
        "optimizers.default.schedule=step(3, 0.5)", "optimizers.default.clip=0.5",
        "optimizers.dis={use: rmsprop, lr: 1.0e-4, roles: [discriminator], momentum: 0.5}",
        "phases.generator.minimize.image=linear(10, 0, steps=8) * l1(reconstruction, source)",
        "phases.discriminator.every=2",
    )  # fmt: skip
    digest = tiny.train(tmp_path / "straight", *changes)
    for stop in (1, 3, 6):
        tiny.train(tmp_path / "stopped", *changes, f"steps={stop}")
    assert tiny.train(tmp_path / "stopped", *changes) == digest


# ---- negative control: every single thing that a checkpoint holds is needed ------------------------------------

ROLES = ("content_encoder", "style_encoder", "decoder", "discriminator")
QUANTITIES = ("|exp_avg", "|exp_avg_sq", "|step")
ITEMS = [f"{role}.{domain}" for role in ROLES for domain in "ab"]
ITEMS += [f"{role}{quantity}" for role in ROLES for quantity in QUANTITIES]


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
    change(parts["model"], parts["optimizers"], state)
    for name, tensors in parts.items():
        save_file(tensors, folder / f"{name}.safetensors")
    (folder / "state.json").write_text(json.dumps(state))
    data = {file.name: file.read_bytes() for file in folder.iterdir()}
    files = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in data.items()}
    (folder / "MANIFEST.json").write_text(json.dumps({"format": 1, "files": files}))


def belongs(name, item):
    role, bar, quantity = item.partition("|")
    return name.startswith(f"{role}|") and name.endswith(quantity) if bar else name.startswith(f"{item}.")


def test_the_control_itself(tiny, stopped, tmp_path):
    copy_with(stopped, tmp_path, lambda model, optimizers, state: None)
    assert tiny.train(tmp_path, "steps=3") == stopped[1]


def test_the_items_are_all_there_is(tiny, stopped):
    found = checkpoint.newest(stopped[0] / "checkpoints", pytest.fail)
    names = [*found.model, *found.optimizers]
    assert [name for name in names if not any(belongs(name, item) for item in ITEMS)] == []
    assert all(any(belongs(name, item) for name in names) for item in ITEMS)
    assert sorted(found.state) == ["format", "images", "ranks", "recipe_sha256", "settings", "step"]


@pytest.mark.parametrize("item", ITEMS)
def test_zeroing_anything_changes_the_result(tiny, stopped, tmp_path, item):
    def zero(model, optimizers, state):
        for part in (model, optimizers):
            part.update({name: value * 0 for name, value in part.items() if belongs(name, item)})

    copy_with(stopped, tmp_path, zero)
    try:
        assert tiny.train(tmp_path, "steps=3") != stopped[1]
    except ForgeError as error:
        assert error.exit_code == 7


def without(item):
    def drop(model, optimizers, state):
        for part in (model, optimizers):
            for name in [name for name in part if belongs(name, item)]:
                del part[name]

    return drop


@pytest.mark.parametrize("item", [*ITEMS, *(f"{role}|" for role in ROLES)])
def test_dropping_anything_changes_the_result_or_is_refused(tiny, stopped, tmp_path, item):
    copy_with(stopped, tmp_path, without(item))
    try:
        assert tiny.train(tmp_path, "steps=3") != stopped[1]
    except (CheckpointError, KeyError):  # Adam itself misses a moment, at its first step
        assert item not in {f"{role}|" for role in ROLES}


def test_weights_and_step_counts_that_are_missing_are_refused(tiny, stopped, tmp_path):
    for number, item in enumerate(("decoder.a", "decoder|step")):
        copy_with(stopped, tmp_path / str(number), without(item))
        with pytest.raises(CheckpointError, match="step-00000002") as caught:
            tiny.train(tmp_path / str(number), "steps=3")
        assert "resolved.yaml" in caught.value.fix


def test_another_step_changes_the_result(tiny, stopped, tmp_path):
    copy_with(stopped, tmp_path, lambda model, optimizers, state: state.update(step=1))
    assert tiny.train(tmp_path, "steps=2") != stopped[1]


def test_images_in_state_follow_from_the_step(tiny, stopped, tmp_path):
    """What is shown only: leaving it out loses nothing."""
    copy_with(stopped, tmp_path, lambda model, optimizers, state: state.pop("images"))
    assert tiny.train(tmp_path, "steps=3") == stopped[1]
