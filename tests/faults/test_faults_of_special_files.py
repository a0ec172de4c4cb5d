"""Files of a stranger that are links (94), pipes, devices, or huge (96)."""

import hashlib
import io
import os
import re
import shutil
import signal
import zipfile

import numpy as np
import pytest
import torch
from file_server import serving
from loaded import CATALOG

from i2i_forge.catalog.loading import find_plugins, load_plugins
from i2i_forge.data.folders import read_list
from i2i_forge.data.images import save_png
from i2i_forge.data.packs.manifest import read_manifest
from i2i_forge.data.packs.table import Table
from i2i_forge.errors import CheckpointError, DataError, RecipeError, UsageError
from i2i_forge.measure import comparison
from i2i_forge.measure.comparison import per_input
from i2i_forge.measure.mode_classifier.classifier import read_card
from i2i_forge.measure.mode_classifier.labelled import read_labelled
from i2i_forge.measure.records import Side
from i2i_forge.measure.records import read as read_records
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import sweep
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.foreign import read_foreign
from i2i_forge.study.page.find import find_runs
from i2i_forge.study.page.page import pictures
from i2i_forge.study.page.run_report import read_run
from i2i_forge.study.state import write_recipes
from i2i_forge.system.fetch.download import download
from i2i_forge.system.public_data import INVENTORY, damaged
from i2i_forge.system.weights import MANIFEST, inspect, path_of


@pytest.fixture
def theirs(tmp_path):
    """A file of the user that a stranger aims at."""
    file = tmp_path / "shell-start-file"
    file.write_text("theirs\n")
    yield file
    assert file.read_text() == "theirs\n"


# ---- 94 --------------------------------------------------------------------------------------------------------------

NAMES = (
    "log.txt", "run.lock", "metrics.jsonl", "diverged.json", "env.json", "resolved.yaml", ".env.json.part",
    "wandb-id.txt", "samples/ab-step-00000001.png", "samples/.ab-step-00000001.png.part", "checkpoints/.tmp-1",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_94_a_link_to_a_file(run, theirs, name):
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(theirs)
    with pytest.raises(UsageError, match=f"{re.escape(name)} is a link: nothing is written there") as caught:
        RunFolder(run).prepare()
    assert caught.value.exit_code == 2 and caught.value.fix


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_94_a_link_to_a_folder(run, tmp_path, name, target):
    keep = tmp_path / "elsewhere/.trash-mine"
    keep.mkdir(parents=True)
    shutil.rmtree(run / name)
    (run / name).symlink_to(tmp_path / target)
    with pytest.raises(UsageError, match=f"{name} is a link: nothing is written there"):
        RunFolder(run).prepare()
    sweep(run / name)
    assert keep.is_dir() and not (tmp_path / "nowhere").exists()


def test_94_commands_refuse_before_they_write(run, theirs, forge):
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(theirs)
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    code, _, err = forge("train", run / "resolved.yaml", "--run", run)
    assert code == 2 and "log.txt is a link" in err and "fix: remove it" in err
    (run / "results.jsonl").symlink_to(theirs)
    code, _, err = forge("eval", run, "--metric", "ssim", "--inputs", "1", "--samples", "1")
    assert code == 2 and "results.jsonl is a link" in err
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.name != "results.jsonl"} == before


def test_94_a_run_folder_that_is_a_link_is_the_users(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    RunFolder(tmp_path / "link").prepare()


def test_94_the_folder_of_a_study(theirs, tmp_path):
    (tmp_path / "study/elsewhere").parent.mkdir()
    (tmp_path / "study/elsewhere").symlink_to(tmp_path)
    write_recipes([], tmp_path / "study")
    (tmp_path / "study/table.md").symlink_to(theirs)
    with pytest.raises(UsageError, match=r"table\.md is a link"):
        write_recipes([], tmp_path / "study")


def test_94_a_picture_replaces_a_link_beside_it(theirs, tmp_path):
    (tmp_path / ".x.png.part").symlink_to(theirs)
    (tmp_path / "x.png").symlink_to(theirs)
    save_png(torch.zeros(3, 4, 4), tmp_path / "x.png")
    assert not (tmp_path / "x.png").is_symlink()


# ---- 96 --------------------------------------------------------------------------------------------------------------

KINDS = ("pipe", "device", "huge")


def put(kind, file):
    """Put a special file in a place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as opened:
            opened.truncate(1 << 42)
    return file


@pytest.fixture
def in_time():
    """Whoever waits for a pipe is waked."""

    def give_up(number, frame):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS = {
    "recipe.yaml": (read_recipe, RecipeError),
    "model.pt": (read_foreign, CheckpointError),
    "list.txt": (lambda file: read_list(file, ""), DataError),
    "pack.json": (read_manifest, DataError),
    "index.bin": (lambda file: Table(file, [1], "pack it again"), DataError),
    "results.jsonl": (read_records, DataError),
    "card.json": (lambda file: read_card(file.parent), DataError),
    "modes.csv": (lambda file: read_labelled(str(file.parent), {}, CATALOG.datasets), DataError),
    "per-input.npz": (lambda file: per_input(file.parent, Side(path=file.name, sha256="ab")), DataError),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READERS)
def test_96_readers_of_one_file(tmp_path, in_time, name, kind):
    read, error = READERS[name]
    file = put(kind, tmp_path / name)
    with pytest.raises(error, match=name) as caught:
        read(file)
    assert caught.value.fix and len(str(caught.value).splitlines()) <= 6


def test_96_a_checkpoint_that_unpacks_to_more(tmp_path):
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "x.pt", "w", 8) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert read_foreign(tmp_path / "whole.pt")["w"].shape == (1_000_000,)
    with pytest.raises(CheckpointError, match=r"x\.pt: .*its parts are compressed"):
        read_foreign(tmp_path / "x.pt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json", "model.safetensors", "optimizers.safetensors"])
def test_96_a_checkpoint(run, in_time, name, kind):
    newest = run / "checkpoints/step-00000004"
    put(kind, newest / name)
    with pytest.raises(CheckpointError, match=f"step-00000004 is damaged: .*{name} ") as caught:
        checkpoint.read(newest)
    assert caught.value.fix


@pytest.mark.parametrize("kind", KINDS)
def test_96_what_a_run_has_beside_its_weights(run, in_time, kind):
    """It costs what stands in it, and no more."""
    shutil.rmtree(run / "samples")
    for name in ("env.json", "metrics.jsonl", "recipe.yaml", "samples/ab-step-00000009.png"):
        put(kind, run / name)
    assert RunFolder.open(run).recipe().name == "resolved"
    (place,) = find_runs([run])
    shown = read_run(place, CATALOG)
    assert [note.partition(":")[0] for note in shown.notes] == [
        "recipe.yaml cannot be read", "env.json cannot be read", "metrics.jsonl cannot be read"]  # fmt: skip
    assert all(picture.problem and not picture.source for picture in pictures([shown], 100)[0])


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("name", ["log.txt", "metrics.jsonl", "run.lock", "resolved.yaml"])
def test_96_where_a_run_writes(run, in_time, name, kind):
    put(kind, run / name)
    with pytest.raises(UsageError, match=rf"{name} is (a link|no regular file): nothing is written there"):
        RunFolder(run).prepare()


@pytest.mark.parametrize("path", ["../../secret.npz", "/dev/zero", "results/up/secret.npz"])
def test_96_values_that_lie_outside(tmp_path, in_time, path):
    (tmp_path / "secret.npz").write_bytes(b"")
    (tmp_path / "runs/x/results").mkdir(parents=True)
    (tmp_path / "runs/x/results/up").symlink_to(tmp_path)
    with pytest.raises(DataError, match="cannot be read: it lies outside the folder of its record"):
        per_input(tmp_path / "runs/x", Side(path=path, sha256="ab"))


def zipped_array(length, claims=b""):
    """An npz of zeros, and its header changed to speak of others."""
    array, content = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(length))
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("values.npy", array.getvalue().replace(b"(1,), }".ljust(len(claims)), claims or b"(1,), }"))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"text", "not a zip file"), (zipped_array(1_000_000), "unpacks to more"), (zipped_array(1), "inputs"),
     (zipped_array(1, b"(999999999999999,), }"), "")],
    ids=["text", "bomb", "half", "claims"],
)  # fmt: skip
def test_96_values_that_are_something_else(tmp_path, monkeypatch, content, words):
    """A record states the sum of any file that lies beside it."""
    monkeypatch.setattr(comparison, "LARGEST_TEXT", 1_000_000)
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.npz holds no values of inputs: .*{words}") as caught:
        per_input(tmp_path, Side(path="x.npz", sha256=hashlib.sha256(content).hexdigest()))
    assert caught.value.fix


@pytest.mark.parametrize("kind", KINDS)
def test_96_plugin_files(tmp_path, in_time, kind):
    put(kind, tmp_path / "mine/bad.py")
    host = load_plugins([tmp_path / "mine"])
    (found,) = [plugin for plugin in host.plugins if plugin.name == "bad"]
    assert found.status == "broken" and ("regular" in found.reason or "are read" in found.reason)
    assert [plugin.status for plugin in find_plugins([tmp_path / "mine"]) if plugin.name == "bad"] == ["broken"]


@pytest.mark.parametrize("kind", KINDS)
def test_96_caches(tmp_path, in_time, kind):
    entry = MANIFEST["squeezenet1_1"]
    put(kind, path_of(entry))
    found = inspect(entry)
    path_of(entry).unlink()
    assert found.status in ("missing", "wrong") and str(path_of(entry)) in found.problem
    put(kind, tmp_path / "1.png")
    (tmp_path / INVENTORY).write_text(f"{'0' * 64}  1.png\n")
    assert kind == "huge" or damaged(tmp_path) == ["1.png"]


def test_96_a_huge_name_of_a_part(tmp_path, in_time, monkeypatch):
    """What is remembered of a download beside it."""
    monkeypatch.setenv("no_proxy", "*")
    put("pipe", tmp_path / "x.part.json")
    with serving(b"content") as server:
        assert download(f"{server.url}/x", tmp_path / "x.part")["bytes"] == 7
