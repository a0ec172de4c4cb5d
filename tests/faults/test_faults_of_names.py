"""Folders and files of unusual names, and a run folder whose name changes: 22, 92, 93."""

import glob
import os
import shutil

import pytest
from at_step import at_step
from PIL import Image

from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.measure import records
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.lock import RunLock
from i2i_forge.system.files import lines_of, one_line


def test_22_unusual_paths(watch, straight, tmp_path):
    """Spaces, quotes, other scripts, a newline, a leading dash, and a name of 255 bytes, one within the other."""
    run = tmp_path / "with spaces" / 'it\'s "$HOME"' / "für 鞋 \N{ATHLETIC SHOE}" / "two\nlines" / "-x" / ("n" * 255)
    assert watch.train(run, steps=2).code == 0
    watch.keeps(run, 2)
    watch.goes_on(run, straight)


# U+2028, U+0085, escape sequences, a line that could be a key, and bytes that are not UTF-8
ODD = os.fsdecode("a\u2028b\x85\x1b]0;x\x07\x1b[31m\nseed: 7 # ".encode() + b"\xff\xfe")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # output and files, if nothing says otherwise


def test_92_names_that_hold_anything(forge_watch, tmp_path):
    """Of the recipe and of the run; trained where output is ASCII, then resumed, translated, measured and reported."""
    run, recipe, image = tmp_path / f"run {ODD}", tmp_path / f"{ODD}.yaml", tmp_path / f"image {ODD}.png"
    recipe.write_text("# für 鞋\nbase: munit_synthetic\n", encoding="utf-8")
    for steps, environment in ((1, ASCII), (2, {})):
        command = forge_watch.subject.command(run, steps=steps, every=1)
        command[command.index("munit_synthetic")] = recipe
        ended = forge_watch.end(forge_watch.start(command, environment=environment, anew=bool(environment)))
        assert ended.code == 0, ended.err[-2000:]
        assert f": {steps} steps done." in ended.out and ended.out.count("\n") == 1 and ended.out.isascii()
        assert not {"\x1b", "\x85", "\u2028"} & set(ended.out + ended.err)
    assert ended.out.startswith(f"{one_line(str(run))}: ")
    assert (run / "recipe.yaml").read_bytes() == recipe.read_bytes()
    assert RunFolder.open(run).recipe().name == one_line(ODD)
    assert RunFolder.open(run).recipe().seed == 0
    assert lines_of(RunFolder(run).resolved.read_text())[0].startswith(f"# {one_line(ODD)}: everything")
    Image.new("RGB", (64, 64)).save(image, format="PNG")
    said = ""
    for arguments in (
        ["translate", run, image, "--out", "out", "--styles", "1"],
        ["eval", run, "--metric", "structure", "--inputs", "2", "--samples", "2"],
        ["report", run],
        ["report", run, "--html", "page.html"],
        ["checkpoint", "verify", run],
    ):
        ended = forge_watch.call(*arguments)
        assert (ended.code, ended.err.count("error:")) == (0, 0), ended.err[-2000:]
        said += ended.out
    assert one_line(ODD) in said
    assert len(list((tmp_path / "out").glob(f"{glob.escape(image.stem)}*.png"))) == 1
    (found,) = records.read(run / records.FILE, pytest.fail)
    assert found.model.name.endswith(f"run {one_line(ODD)}")


@pytest.fixture
def held(tmp_path):
    """The folder of a run that is held, and what it can be replaced by."""
    folder = RunFolder(tmp_path / "run")
    folder.prepare()
    RunFolder(tmp_path / "other").prepare()
    (tmp_path / "other/run.lock").touch()
    with folder.locked():
        yield folder


@pytest.mark.parametrize("replaced", [False, "link", "folder"])
def test_93_a_renamed_folder_is_followed(held, tmp_path, replaced):
    assert held.follow() == ""
    (tmp_path / "run").rename(tmp_path / "moved")
    if replaced == "link":
        (tmp_path / "run").symlink_to(tmp_path / "other")
    elif replaced:
        (tmp_path / "other").rename(tmp_path / "run")
    assert held.follow() == f"{tmp_path / 'run'} was renamed: the run goes on in {tmp_path / 'moved'}"
    assert held.checkpoints == tmp_path / "moved/checkpoints"
    assert held.follow() == ""
    with pytest.raises(UsageError, match="is in use"), RunFolder(tmp_path / "moved").locked():
        pass


def test_93_a_link_to_the_folder_itself_is_nothing(held, tmp_path):
    """It was moved, and its old name leads there."""
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "run").symlink_to(tmp_path / "moved")
    assert held.follow() == ""


def test_93_a_folder_that_is_lost_is_an_error(held, tmp_path, monkeypatch):
    """Where the system does not tell its new name."""
    monkeypatch.setattr(RunLock, "folder", lambda self: None)
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "other").rename(tmp_path / "run")
    with pytest.raises(ForgeError, match="it was renamed or replaced") as caught:
        held.follow()
    assert caught.value.exit_code == 1 and str(tmp_path / "run") in caught.value.message and caught.value.fix


def test_93_a_deleted_folder_is_made_again_and_held(held, tmp_path):
    shutil.rmtree(tmp_path / "run")
    assert "was deleted" in held.follow()
    assert held.samples.is_dir()
    with pytest.raises(UsageError, match="is in use"), RunFolder(tmp_path / "run").locked():
        pass


def test_93_nothing_is_written_into_the_run_that_took_its_name(forge_watch, straight, tmp_path):
    run, other = tmp_path / "run", RunFolder(tmp_path / "other")
    other.prepare()
    (other.path / "run.lock").touch()
    renaming = f"run = __import__('pathlib').Path({str(run)!r}); run.rename({str(tmp_path / 'moved')!r})"
    ended = forge_watch.train(run, inject=at_step(forge_watch, f"{renaming}; run.symlink_to({str(other.path)!r})"))
    assert ended.code == 0 and f"goes on in {tmp_path / 'moved'}" in ended.err, ended.err[-2000:]
    assert f"{tmp_path / 'moved'}: 8 steps done" in ended.out
    forge_watch.same_weights(tmp_path / "moved", straight())
    assert len(list(RunFolder(tmp_path / "moved").records())) == 8
    assert sorted(path.name for path in other.path.rglob("*")) == ["checkpoints", "log.txt", "run.lock", "samples"]
