import errno
import hashlib
import json
import logging
import os
import random
import resource
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import small_recipe

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError, DivergedError, ResourceError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import writing
from i2i_forge.run.checkpoint.migrations import MIGRATIONS
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.loop import Run
from i2i_forge.system import distributed

FILES = ("MANIFEST.json", "model.safetensors", "optimizers.safetensors", "state.json")


class Weights:
    """Stands in for a trainer: its weights are the step."""

    ema = None

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


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(root, file, share):
    path = root / "step-00000020" / file
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    expect_fallback(root, file)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file(root, file):
    (root / "step-00000020" / file).unlink()
    expect_fallback(root, file)


def test_an_empty_folder(root):
    shutil.rmtree(root / "step-00000020")
    (root / "step-00000020").mkdir()
    expect_fallback(root, "MANIFEST.json")


def test_a_file_of_another_checkpoint(root):
    """The sizes agree, the generations do not."""
    shutil.copy(root / "step-00000010" / "optimizers.safetensors", root / "step-00000020")
    expect_fallback(root, "optimizers.safetensors", "SHA-256")


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


def test_300_flipped_bits_are_all_detected(trained, tmp_path):
    folder = checkpoint.save(tmp_path, 1, trained, {}, keep=3)
    draw = random.Random(0)
    for number in range(300):
        path = folder / FILES[number % 4]
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.read(folder)
        path.write_bytes(data)
    assert checkpoint.read(folder).step == 1


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


def test_weights_that_are_not_finite_in_an_old_checkpoint(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writing, "first_not_finite", lambda tensors: "")
        checkpoint.save(root, 20, Weights(float("inf")), {}, keep=3)
    expect_fallback(root, "decoder.a.weight is not finite")


def test_two_damaged_ones_are_both_named(root):
    save(root, 30)
    for step in ("step-00000020", "step-00000030"):
        (root / step / "state.json").unlink()
    found, warnings = newest(root)
    assert found.step == 10
    assert ["step-00000030" in warnings[0], "step-00000020" in warnings[1]] == [True, True]


def test_all_damaged_is_an_error_and_never_a_new_start(root):
    for step in ("step-00000010", "step-00000020"):
        (root / step / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        newest(root)
    assert caught.value.exit_code == 5
    assert "step-00000020" in caught.value.message and "no checkpoint can be used" in caught.value.message
    assert "--run" in caught.value.fix
    assert len(str(caught.value).splitlines()) <= 6


# ---- other formats, other networks -----------------------------------------------------------------------------


def test_a_newer_format_says_to_upgrade_and_falls_back_to_nothing(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writing, "FORMAT_VERSION", 7)
        save(root, 30)
    with pytest.raises(CheckpointError, match="has format 7, this i2i_forge reads up to 1") as caught:
        newest(root)
    assert "upgrade" in caught.value.fix


def test_other_networks_are_refused_with_the_first_five_names(trained, tiny, tmp_path):
    checkpoint.save(tmp_path, 1, trained, {}, keep=3)
    found, _ = newest(tmp_path)
    other = tiny.trainer("networks.decoder.mlp_dim=16")
    before = checkpoint.digest(other)
    with pytest.raises(CheckpointError, match="of other networks") as caught:
        checkpoint.restore(found, other)
    names = caught.value.message.partition("differ: ")[2].split(", ")
    assert len(names) == 5
    assert all(name in other.state_dict() and name.startswith("decoder.a.mlp") for name in names)
    assert "resolved.yaml" in caught.value.fix
    assert checkpoint.digest(other) == before  # nothing was half loaded


def test_more_networks_than_ours_are_refused_too(trained, tiny, tmp_path):
    checkpoint.save(tmp_path, 1, trained, {}, keep=3)
    with pytest.raises(CheckpointError, match="of other networks"):
        checkpoint.restore(newest(tmp_path)[0], tiny.trainer("networks.discriminator.layers=1"))


def test_a_format_without_a_way_from_it_is_damage(root):
    rewrite(root / "step-00000020", 0)
    expect_fallback(root, "there is no format 0")


def rewrite(folder, version):
    """Give a checkpoint another version, with a manifest that fits."""
    state = json.loads((folder / "state.json").read_text()) | {"format": version}
    data = json.dumps(state).encode()
    (folder / "state.json").write_bytes(data)
    manifest = json.loads((folder / "MANIFEST.json").read_text()) | {"format": version}
    manifest["files"]["state.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))


def test_older_formats_are_migrated_step_by_step(root, monkeypatch):
    """As if there had been two made-up ones: -1 called the decoder `generator`, 0 had the optimizers negated."""

    def renamed(old):
        return replace(old, model={name.replace("generator", "decoder"): t for name, t in old.model.items()})

    def negated(old):
        return replace(old, optimizers={name: -value for name, value in old.optimizers.items()})

    monkeypatch.setitem(MIGRATIONS, -1, renamed)
    monkeypatch.setitem(MIGRATIONS, 0, negated)
    checkpoint.save(root, 30, Old(), {}, keep=3)
    for version in (0, -1):
        rewrite(root / "step-00000030", version)
        found = checkpoint.read(root / "step-00000030")
        assert (found.format, found.state["format"], found.step) == (version, 1, 30)
        assert list(found.model) == ["decoder.a.weight" if version < 0 else "generator.a.weight"]
        assert next(iter(found.optimizers.values()))[0] == 30
    checkpoint.read(root / "step-00000020")  # of the newest format: not touched


class Old(Weights):
    def __init__(self):
        super().__init__(30)

    def state_dict(self):
        return {"generator.a.weight": torch.full((4,), 30.0)}


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


@contextmanager
def largest_file(size):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full_in_the_middle_of_a_file(root):
    before = {p.name: content(p) for p in root.iterdir()}

    def write():
        with largest_file(200_000):
            save(root, 30, size=100_000)

    expect_untouched(root, before, write)
    save(root, 30, size=100_000)
    assert newest(root)[0].step == 30


def test_a_disk_without_room_is_noticed_before_anything_is_written(root, monkeypatch):
    before = {p.name: content(p) for p in root.iterdir()}
    monkeypatch.setattr(writing, "_write_synced", lambda *_: pytest.fail("it began to write"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 200))
    message = expect_untouched(root, before, lambda: save(root, 30))
    assert "MB and 0.0 MB are free" in message


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


def test_a_slow_save_is_reported(root, monkeypatch, caplog):
    save(root, 30)
    assert caplog.text == ""
    monkeypatch.setattr(writing, "SLOW", 0.0)
    with caplog.at_level(logging.WARNING):
        save(root, 40)
    assert f"writing the checkpoint of step 40 to {root} took 0 s" in caplog.text
