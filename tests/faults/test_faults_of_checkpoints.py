"""Checkpoints that are damaged, foreign, or of another time: 25 to 36."""

import json
import math
import pickle
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forged_checkpoints import forged
from hostile_tensors import HONEST, HOSTILE
from safetensors.torch import load, save

from i2i_forge.errors import CheckpointError, DivergedError
from i2i_forge.run import checkpoint
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.foreign import read_foreign
from i2i_forge.run.replay import verify
from i2i_forge.system.tensor_files import read_tensors

FROZEN = Path(__file__).parents[1] / "run/fixtures/format-1"


def newest_files(watch, run):
    """The files of the checkpoint of step 4, and what they hold."""
    return {file: file.read_bytes() for file in watch.subject.saved(run)[4]}


def falls_back(watch, run):
    """The step before is used, and nothing else."""
    assert watch.subject.usable(run) == 2


def test_25_a_truncated_file(watch, straight, run):
    for file, data in newest_files(watch, run).items():
        for share in (0.1, 0.5, 0.9, 0.999):
            file.write_bytes(data[: int(len(data) * share)])
            falls_back(watch, run)
        file.write_bytes(data)
    watch.keeps(run, 4)
    file.write_bytes(data[:-1])
    said = watch.goes_on(run, straight).err
    assert "damaged" in said and "using step 2" in said


def test_26_an_empty_file(watch, straight, run):
    for file, data in newest_files(watch, run).items():
        file.write_bytes(b"")
        falls_back(watch, run)
        file.write_bytes(data)
    file.write_bytes(b"")
    watch.goes_on(run, straight)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_27_a_flipped_bit(watch, run, count):
    """Anywhere in any file. It is noticed, or what is read is what was written."""
    draw, files = random.Random(0), newest_files(watch, run)
    before, silent = watch.subject.digest(run), 0
    places = [(file, draw.randrange(len(data) * 8)) for file, data in files.items() for _ in range(count // len(files))]
    for file, place in places:
        flipped = bytearray(files[file])
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        silent += watch.subject.usable(run) == 4 and watch.subject.digest(run) != before
        file.write_bytes(files[file])
    assert silent == 0, f"{silent} of {len(places)} flips change weights and nobody notices"
    assert len(places) > count - len(files)


def test_28_a_missing_file(watch, straight, run):
    for file, data in newest_files(watch, run).items():
        file.unlink()
        falls_back(watch, run)
        file.write_bytes(data)
    file.unlink()
    watch.goes_on(run, straight)


def test_28_a_file_of_another_generation(watch, run):
    """A file of step 2 among those of step 4, of the same size: never a mixture of both."""
    for newer, older in zip(*(watch.subject.saved(run)[step] for step in (4, 2)), strict=True):
        if newer == older or newer.name == "MANIFEST.json":
            continue
        data = newer.read_bytes()
        newer.write_bytes(older.read_bytes())
        falls_back(watch, run)
        newer.write_bytes(data)


def test_29_a_changed_recipe(forge_watch, run):
    """The keys are named, with what they were, and how to begin with its weights."""
    before = (run / "resolved.yaml").read_bytes(), forge_watch.left(run)
    ended = forge_watch.train(run, changes=("networks.decoder.mlp_dim=16", "seed=3"))
    words = "networks.decoder.mlp_dim: 8 there, 16 here", "seed: 0 there, 3 here"
    ended.refused(5, run, *words, f"--init-from {run} --run")
    assert ((run / "resolved.yaml").read_bytes(), forge_watch.left(run)) == before


def test_29_other_networks(forge_watch, run):
    """Where the recipe does not tell (the code has changed), the first five tensors do, once and not all of them."""
    from i2i_forge.engine.api import build_trainer
    from i2i_forge.recipe.reading import read_recipe

    trainer = build_trainer(read_recipe(run / "resolved.yaml", set=["networks.decoder.mlp_dim=16"]))
    before = checkpoint.digest(trainer)
    with pytest.raises(CheckpointError, match="of other networks") as caught:
        checkpoint.restore(checkpoint.newest(run / "checkpoints", pytest.fail), trainer)
    assert len(caught.value.message.partition("differ: ")[2].split(", ")) == 5
    assert "--init-from" in caught.value.fix
    assert checkpoint.digest(trainer) == before


def test_30_a_newer_format(forge_watch, run):
    forged(run, version=7, state_json=lambda data: json.dumps({**json.loads(data), "format": 7}).encode())
    ended = forge_watch.train(run)
    ended.refused(5, "step-00000004", "format 7", "reads up to 1", "upgrade")
    forged(run, state_json=lambda data: json.dumps({**json.loads(data), "format": 1}).encode())
    forge_watch.keeps(run, 4)


def test_31_an_older_format(forge_watch, tmp_path):
    """Frozen on disk; it is looked into, judged and translated with."""
    run = shutil.copytree(FROZEN, tmp_path / "frozen")
    ended = forge_watch.call("checkpoint", "inspect", run, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["step"] == 2
    assert checkpoint.read(run / "checkpoints/step-00000002").format == 1


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_32_a_pickle_bomb(forge_watch, tmp_path, zipped):
    """It is not run, nor read again in another way."""
    canary, file = tmp_path / "canary", tmp_path / "bomb.pt"
    torch.save({"a": Bomb(canary), "b": {}}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"io\.open"):
        read_foreign(file)
    if zipped:
        ended = forge_watch.call("checkpoint", "import", file, "--format", "nvlabs-munit", "--run", tmp_path / "new")
        ended.refused(5, file, "io.open")
    assert not canary.exists()


def test_32_a_pickle_bomb_without_torch(tmp_path):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "bomb.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "canary"), protocol))
        with pytest.raises(CheckpointError, match=r"bomb\.pt"):
            read_foreign(tmp_path / "bomb.pt")
        assert not (tmp_path / "canary").exists()


NO_CHECKPOINTS = {
    "looks like HTML": b"<!DOCTYPE html><html>404</html>",
    "it looks like HTML": b"\n  <?xml version='1.0'?>",
    "a pickle that torch did not write": pickle.dumps({"a": [1, 2]}),
    "looks like a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "like text": b"hello",
    "JSON": b'{"error": "not found"}',
    "compressed archive": b"\x1f\x8b\x08\x00" + bytes(50),
    "the file is empty": b"",
    "it begins": bytes(1000),
    "not a checkpoint": b"PK\x03\x04" + bytes(100),
}


def test_33_something_else_as_a_checkpoint(forge_watch, tmp_path):
    file = tmp_path / "given.pt"
    for words, data in NO_CHECKPOINTS.items():
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"given\.pt: not a checkpoint") as caught:
            read_foreign(file)
        assert words in caught.value.message and caught.value.fix
        assert len(str(caught.value).splitlines()) <= 6
    file.write_bytes(NO_CHECKPOINTS["looks like HTML"])
    ended = forge_watch.call("checkpoint", "import", file, "--format", "nvlabs-munit", "--run", tmp_path / "new")
    ended.refused(5, file, "HTML")


@pytest.mark.parametrize("kind", HOSTILE)
def test_34_hostile_safetensors(tmp_path, kind):
    """Our own with a manifest that fits, and another program's."""
    with pytest.raises(ValueError):
        read_tensors(HOSTILE[kind])
    (tmp_path / "given.safetensors").write_bytes(HOSTILE[kind])
    with pytest.raises(CheckpointError, match=r"given\.safetensors: not a checkpoint"):
        read_foreign(tmp_path / "given.safetensors")
    run = shutil.copytree(FROZEN, tmp_path / "run")
    for name in ("model_safetensors", "optimizers_safetensors"):
        forged(run, 2, **{name: lambda data: HOSTILE[kind]})
        with pytest.raises(CheckpointError, match="step-00000002 is damaged: "):
            checkpoint.read(run / "checkpoints/step-00000002")


def test_34_honest_safetensors(tmp_path):
    """What the hostile ones are made from is read."""
    (tmp_path / "given.safetensors").write_bytes(HONEST)
    assert sorted(read_foreign(tmp_path / "given.safetensors")) == ["a", "b"]


STATES = (b"[]", b"null", b'{"format": 1}', b'{"format": 1, "format": 1, "step": 2}', b'{"format": 1, "step": NaN}',
          b'{"format": 1, "step": 1e999}', b'{"format": "1", "step": 2}', b'{"format": 1, "step": {}}',
          b"[" * 100_000)  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state[:40].decode())
def test_34_hostile_json(tmp_path, state):
    """state.json with a manifest that fits, and the manifest itself."""
    run = shutil.copytree(FROZEN, tmp_path / "run")
    folder = run / "checkpoints/step-00000002"
    forged(run, 2, state_json=lambda data: state)
    with pytest.raises(CheckpointError, match="step-00000002 is damaged: "):
        checkpoint.read(folder)
    (folder / "MANIFEST.json").write_bytes(state)
    with pytest.raises(CheckpointError, match="step-00000002 is damaged: "):
        checkpoint.read(folder)


def spoilt(data):
    """Tensors of which one number is NaN."""
    tensors = load(data)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    return save(tensors)


def test_35_weights_that_are_not_finite(forge_watch, straight, run):
    forged(run, model_safetensors=spoilt)
    said = forge_watch.goes_on(run, straight).err
    assert "is not finite" in said and "using step 2" in said


def test_99_optimizer_state_that_is_not_finite(forge_watch, run):
    """It is damage, which `forge checkpoint verify` says, and the step before is used."""
    forged(run, optimizers_safetensors=spoilt)
    (run / "metrics.jsonl").unlink()  # nothing is to be taken again
    verdict = verify(RunFolder(run), pytest.fail)
    assert verdict.damaged == ["step-00000004"] and not verdict.trusted
    assert "in optimizers.safetensors is not finite" in verdict.checkpoints["step-00000004"]
    falls_back(forge_watch, run)


def test_99_it_is_not_saved(tmp_path):
    trainer = SimpleNamespace(
        ema=None,
        state_dict=lambda: {"decoder.a.weight": torch.zeros(2)},
        optimizer_state=lambda: {"decoder|a.weight|exp_avg_sq": torch.tensor([0.0, math.inf])},
    )
    with pytest.raises(DivergedError, match=r"decoder\|a.weight\|exp_avg_sq is not finite after step 1"):
        checkpoint.save(tmp_path, 1, trainer, {}, keep=3)
    assert not list(tmp_path.iterdir())


def test_36_all_checkpoints_are_damaged(watch, run):
    """An error, and never a silent new start."""
    for files in watch.subject.saved(run).values():
        for file in files:
            file.write_bytes(file.read_bytes()[:10])
    before = {file: file.read_bytes() for files in watch.subject.saved(run).values() for file in files}
    ended = watch.train(run).refused(5, run, "no checkpoint can be used")
    assert watch.subject.name != "forge" or ("step-00000004" in ended.err and "--run" in ended.err)
    assert {file: file.read_bytes() for files in watch.subject.saved(run).values() for file in files} == before
