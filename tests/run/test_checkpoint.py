import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import sealed, small_recipe

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError, DivergedError, ResourceError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import writing
from i2i_forge.run.checkpoint.reading import MIGRATIONS
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.loop import Run
from i2i_forge.system import distributed

FILES = ("MANIFEST.json", "model.safetensors", "optimizers.safetensors", "state.json")


class Weights:
    """Stands in for a trainer: its weights are the step."""

    ema, spaces = None, {}

    def __init__(self, value=0.0, size=16):
        self.value, self.size = value, size

    def state_dict(self):
        return {"decoder.a.weight": torch.full((self.size,), float(self.value))}

    def optimizer_state(self):
        return {"decoder|a.weight|exp_avg": torch.full((self.size,), -float(self.value))}


def save(root, step, keep=3, **options):
    return checkpoint.save(root, step, Weights(step, **options), {"images": 2 * step}, keep)


def newest(root):
    """(checkpoint, warnings)"""
    warnings = []
    return checkpoint.newest(root, warnings.append), warnings


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def root(tmp_path):
    """Checkpoints of steps 10 and 20."""
    root = tmp_path / "checkpoints"
    save(root, 10)
    save(root, 20)
    return root


@pytest.fixture
def trained(tiny):
    trainer = tiny.trainer()
    noise = torch.Generator().manual_seed(1)
    trainer.step({d: torch.randn(1, 3, 64, 64, generator=noise).clamp(-1, 1) for d in "ab"}, 0)
    return trainer


# ---- round trip ------------------------------------------------------------------------------------------------


def test_round_trip_is_exact(trained, tiny, tmp_path):
    checkpoint.save(tmp_path, 1, trained, {"images": 7}, keep=3)
    found, warnings = newest(tmp_path)
    assert (found.step, found.state["images"], warnings) == (1, 7, [])
    other = tiny.trainer("seed=5")
    assert checkpoint.digest(other) != checkpoint.digest(trained)
    checkpoint.restore(found, other)
    assert checkpoint.digest(other) == checkpoint.digest(trained)
    for name, value in trained.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_a_checkpoint_holds_these_files_and_no_pickle(trained, tmp_path):
    folder = checkpoint.save(tmp_path, 12, trained, {}, keep=3)
    assert folder.name == "step-00000012"
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    assert sorted(manifest["files"]) == sorted(FILES[1:])
    assert manifest["format"] == json.loads((folder / "state.json").read_text())["format"] == 1
    assert not any(b"\x80\x02" in data[:2] or data[:2] == b"PK" for data in content(folder).values())


def test_weights_alone_can_be_restored(trained, tiny, tmp_path):
    checkpoint.save(tmp_path, 1, trained, {}, keep=3)
    other = tiny.trainer("seed=5")
    checkpoint.restore(newest(tmp_path)[0], other, optimizers=False)
    assert other.optimizer_state() == {}
    assert all(torch.equal(v, trained.state_dict()[n]) for n, v in other.state_dict().items())


def test_no_checkpoint_is_none(tmp_path):
    assert newest(tmp_path) == (None, [])
    assert newest(tmp_path / "nowhere") == (None, [])


def test_the_digest_changes_with_every_tensor(trained):
    before = checkpoint.digest(trained)
    assert checkpoint.digest(trained) == before
    tensors = [t for _, m in trained.modules() for t in (*m.parameters(), *m.buffers())]
    tensors += [t for o in optimizers_of(trained) for s in o.state.values() for t in s.values()]
    assert len(tensors) == len(trained.state_dict()) + len(trained.optimizer_state())
    seen, tensors = {before}, tensors[::5]  # each fifth, for time
    for tensor in tensors:
        first, data = tensor.data.flatten()[0].clone(), tensor.data.view(-1)
        data[0] = first + 1
        seen.add(checkpoint.digest(trained))
        data[0] = first
    assert len(seen) == len(tensors) + 1
    assert checkpoint.digest(trained) == before


def optimizers_of(trainer):
    return [o.torch for entry in trainer.optimizers for o in entry.roles.values()]


def test_every_rank_gets_back_its_own(tiny, tmp_path, monkeypatch):
    """A pool holds what its rank has translated; a third rank, which was not there, begins with the first's."""
    recipe = small_recipe(tiny.host, "cyclegan_synthetic")
    trainer = build_trainer(recipe, tiny.host.catalog)
    pool = "state.image_pool.ab.images"
    trainer.load_state_dict({**trainer.state_dict(), pool: torch.zeros(1, 3, 4, 4)})
    assert sorted(checkpoint.of_this_rank(trainer)) == [pool, "state.image_pool.ba.images"]
    second = {**checkpoint.of_this_rank(trainer), pool: torch.ones(2, 3, 4, 4)}
    folder = checkpoint.save(tmp_path, 1, trainer, {}, keep=3, other_ranks=[second])
    for rank, images in enumerate((0, 1, 0)):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        other = build_trainer(recipe, tiny.host.catalog)
        checkpoint.restore(checkpoint.read(folder), other)
        held = other.state_dict()[pool]
        assert len(held) == (2 if images else 1) and bool((held == images).all())
    file = folder / "rank-1.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"rank-1\.safetensors has the wrong size"):
        checkpoint.read(folder)


# ---- damage: the one before is used, with one warning ----------------------------------------------------------


def expect_fallback(root, *words):
    found, warnings = newest(root)
    assert found.step == 10
    assert found.model["decoder.a.weight"][0] == 10
    assert len(warnings) == 1
    for word in ("step-00000020", "using step 10", *words):
        assert word in warnings[0]


def test_an_empty_folder(root):
    shutil.rmtree(root / "step-00000020")
    (root / "step-00000020").mkdir()
    expect_fallback(root, "MANIFEST.json")


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]", b"null", b"{}", b'{"format": 1, "files": []}', b'{"format": 1, "files": {}}', b"\xff\xfe", b"<html>",
        b'{"format": 1, "files": {"state.json": 3}}', b'{"format": null, "files": {}}',
    ],
)  # fmt: skip
def test_a_manifest_of_something_else(root, manifest):
    (root / "step-00000020" / "MANIFEST.json").write_bytes(manifest)
    expect_fallback(root)


def test_flipped_bits_of_the_manifest(root):
    """A flip in the version must look like damage, not like a newer format, or there would be no way back."""
    path = root / "step-00000020" / "MANIFEST.json"
    data = path.read_bytes()
    version = data.index(b'"format": 1') * 8
    for place in {*range(0, 8 * len(data), 7), *range(version, version + 96)}:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.read(path.parent)


def test_weights_that_are_not_finite_are_never_used(root):
    with pytest.raises(DivergedError, match=r"decoder.a.weight is not finite after step 30"):
        checkpoint.save(root, 30, Weights(float("nan")), {}, keep=3)
    assert checkpoint.list_steps(root) == [10, 20]
    assert not list(root.glob(".*"))


def test_two_damaged_ones_are_both_named(root):
    save(root, 30)
    for step in ("step-00000020", "step-00000030"):
        (root / step / "state.json").unlink()
    found, warnings = newest(root)
    assert found.step == 10
    assert ["step-00000030" in warnings[0], "step-00000020" in warnings[1]] == [True, True]


# ---- other formats, other networks -----------------------------------------------------------------------------


def test_more_networks_than_ours_are_refused_too(trained, tiny, tmp_path):
    checkpoint.save(tmp_path, 1, trained, {}, keep=3)
    with pytest.raises(CheckpointError, match="of other networks"):
        checkpoint.restore(newest(tmp_path)[0], tiny.trainer("networks.discriminator.layers=1"))


def test_a_format_without_a_way_from_it_is_damage(root):
    rewrite(root / "step-00000020", 0)
    expect_fallback(root, "there is no format 0")


def rewrite(folder, version):
    """Give a checkpoint another version."""
    state = json.loads((folder / "state.json").read_text()) | {"format": version}
    (folder / "state.json").write_text(json.dumps(state))
    sealed(folder)


def test_older_formats_are_migrated_step_by_step(root, monkeypatch):
    """As if there had been two made-up ones: -1 called the encoder `decoder`, 0 had the optimizers negated."""

    def renamed(old):
        return replace(old, model={name.replace("decoder", "encoder"): t for name, t in old.model.items()})

    def negated(old):
        return replace(old, optimizers={name: -value for name, value in old.optimizers.items()})

    monkeypatch.setitem(MIGRATIONS, -1, renamed)
    monkeypatch.setitem(MIGRATIONS, 0, negated)
    save(root, 30)
    for version in (0, -1):
        rewrite(root / "step-00000030", version)
        found = checkpoint.read(root / "step-00000030")
        assert (found.format, found.state["format"], found.step) == (version, 1, 30)
        assert list(found.model) == ["encoder.a.weight" if version < 0 else "decoder.a.weight"]
        assert next(iter(found.optimizers.values()))[0] == 30
    checkpoint.read(root / "step-00000020")  # of the newest format: not touched


# ---- format 1, frozen: this must load for ever -----------------------------------------------------------------

FROZEN = Path(__file__).parent / "fixtures/format-1"
FROZEN_DIGEST = "418de4388d53e59cf49aadb5971cbc6d155a7f09c3e6f5c12a36d5a1be48551a"


def test_a_run_of_format_1_loads_and_goes_on(host, tmp_path):
    shutil.copytree(FROZEN, tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    trainer = build_trainer(folder.recipe(), host.catalog)
    found = checkpoint.newest(folder.checkpoints, pytest.fail)
    assert (found.step, found.format, found.state["images"]) == (2, 1, 2)
    checkpoint.restore(found, trainer)
    assert checkpoint.digest(trainer) == FROZEN_DIGEST
    recipe = read_recipe(folder.resolved, set=["steps=3", "run.sample_every=1000"])
    assert Run(recipe, host, folder.path).train() == 3
    assert checkpoint.list_steps(folder.checkpoints)[-1] == 3


# ---- which are kept --------------------------------------------------------------------------------------------


def test_only_the_newest_are_kept(tmp_path):
    for step in range(1, 8):
        save(tmp_path, step, keep=3)
        assert checkpoint.list_steps(tmp_path) == list(range(max(1, step - 2), step + 1))
    assert {p.name for p in tmp_path.iterdir()} == {"step-00000005", "step-00000006", "step-00000007"}


def test_steps_are_ordered_by_number(tmp_path):
    for step in (9, 10, 100_000_000, 99):
        save(tmp_path, step, keep=9)
    assert checkpoint.list_steps(tmp_path) == [9, 10, 99, 100_000_000]


def test_a_damaged_newer_one_does_not_push_out_what_was_just_written(root):
    """Resumed from 10 because 20 is damaged, with `keep: 1`."""
    (root / "step-00000020" / "state.json").unlink()
    save(root, 12, keep=1)
    found, warnings = newest(root)
    assert found.step == 12
    assert len(warnings) == 1
    save(root, 20, keep=1)  # the step that was damaged, again
    found, warnings = newest(root)
    assert (found.step, warnings, checkpoint.list_steps(root)) == (20, [], [20])


def test_saving_a_step_again_replaces_it(root):
    checkpoint.save(root, 20, Weights(21), {}, keep=3)
    found, warnings = newest(root)
    assert (found.step, found.model["decoder.a.weight"][0], warnings) == (20, 21, [])
    assert not list(root.glob(".*"))


def test_folders_of_other_names_are_no_checkpoints(root):
    for name in ("step-", "step-x", "step-²", "step-5", "step-00000030.bak", "best"):
        (root / name).mkdir()
    (root / "step-00000040").touch()
    assert checkpoint.list_steps(root) == [10, 20]
    assert newest(root)[0].step == 20


def test_what_a_kill_left_is_swept(root):
    before = {p.name for p in root.iterdir()}
    for name in (".tmp-1a2b3c4d", ".trash-step-00000010-ab12"):
        shutil.copytree(root / "step-00000010", root / name)
    assert checkpoint.list_steps(root) == [10, 20]
    checkpoint.sweep(root)
    assert {p.name for p in root.iterdir()} == before


# ---- disks that do not take it ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def without_pause(monkeypatch):
    monkeypatch.setattr(writing, "PAUSE", 0)


def expect_untouched(root, before, action):
    with pytest.raises(ResourceError, match="the checkpoint of step 30 could not be written") as caught:
        action()
    assert caught.value.exit_code == 8
    assert "free disk space" in caught.value.fix
    assert {p.name: content(p) for p in root.iterdir()} == before
    found, warnings = newest(root)
    assert (found.step, warnings) == (20, [])
    return caught.value.message


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", range(5))  # three files, the manifest, the folder
def test_a_disk_that_fails_at_any_sync(root, monkeypatch, code, call):
    before, calls, real = {p.name: content(p) for p in root.iterdir()}, [], os.fsync

    def fsync(handle):
        calls.append(handle)
        if len(calls) > call:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    message = expect_untouched(root, before, lambda: save(root, 30))
    assert os.strerror(code) in message


def failing_once(function, error):
    """The function, which raises at its first call."""
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise error
        return function(*arguments)

    return call


def test_a_disk_that_fails_once_is_tried_again(root, monkeypatch, caplog):
    monkeypatch.setattr(os, "fsync", failing_once(os.fsync, OSError(errno.EIO, "Input/output error")))
    shutil.copytree(root / "step-00000010", root / ".trash-step-00000010-ab12")
    save(root, 30)
    assert newest(root)[0].step == 30
    assert not list(root.glob(".*"))  # what an earlier kill left was in the way
    assert "the checkpoint of step 30 could not be written (Input/output error); trying once more" in caplog.text


def test_the_folder_that_vanishes_is_made_again(root, monkeypatch):
    """Between two saves, and within one."""
    shutil.rmtree(root)
    save(root, 30)
    assert newest(root)[0].step == 30
    vanished, write = [], writing._write_synced

    def vanish(file, data):
        if not vanished:
            vanished.append(shutil.rmtree(root))
        write(file, data)

    monkeypatch.setattr(writing, "_write_synced", vanish)
    save(root, 40)
    assert newest(root)[0].step == 40


def test_an_old_one_that_cannot_be_removed_costs_nothing(root, monkeypatch, caplog):
    def refuse(folder):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(writing, "set_aside", refuse)
    save(root, 30, keep=1)
    assert checkpoint.list_steps(root) == [10, 20, 30]
    assert "the old checkpoint of step 10 could not be removed: Operation not permitted" in caplog.text
