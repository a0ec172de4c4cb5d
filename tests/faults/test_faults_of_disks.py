"""Disks that are full, fail, vanish, crawl, know no locks, or have unusual names: 17 to 24, 91 to 93, 105."""

import errno
import glob
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from i2i_forge.catalog.loading import Host
from i2i_forge.data.folders import read_list
from i2i_forge.errors import DataError, ForgeError, ResourceError, UsageError
from i2i_forge.measure import records
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import writing
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.lock import RunLock
from i2i_forge.system.files import lines_of, one_line
from i2i_forge.system.public_data import damaged, write_inventory

# No file may grow beyond a size: a write beyond it fails, as on a full disk.
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


def test_17_disk_full_while_saving(watch, straight, tmp_path):
    run = tmp_path / "run"
    assert watch.train(run, steps=2, every=2).code == 0
    largest = max(file.stat().st_size for file in watch.subject.saved(run)[2])
    ended = watch.train(run, steps=8, every=2, inject=FULL.format(size=largest // 2))
    ended.refused(8, "checkpoint of step 4", "File too large")
    watch.keeps(run, 2)
    assert not list(run.rglob(".tmp-*"))
    assert watch.train(run, steps=8, every=2).code == 0
    watch.same_weights(run, straight(steps=8, every=2))


def test_17_no_room_is_seen_before_writing(tmp_path, monkeypatch):
    """The free space is asked for first, and again after a pause."""
    checkpoint.save(tmp_path, 10, Weights(10), {}, keep=3)
    asked = []

    def usage(path):
        asked.append(path)
        return shutil._ntuple_diskusage(10**9, 10**9, 1000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(writing, "_write_synced", lambda *_: pytest.fail("it began to write"))
    monkeypatch.setattr(writing, "PAUSE", 0)
    with pytest.raises(ResourceError, match=r"MB and 0\.0 MB are free") as caught:
        checkpoint.save(tmp_path, 20, Weights(20), {}, keep=3)
    assert (caught.value.exit_code, len(asked)) == (8, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


# What is appended to this file goes to a disk without room.
FULL_FOR = """
import builtins, io, os
real = open
def full(path, mode="r", *arguments, **options):
    name = os.readlink(f"/proc/self/fd/{{path}}") if isinstance(path, int) else str(path)
    return real("/dev/full" if "a" in mode and name.endswith({file!r}) else path, mode, *arguments, **options)
io.open = builtins.open = full
"""


@pytest.mark.parametrize("file", ["metrics.jsonl", "log.txt"])
def test_18_disk_full_while_logging(forge_watch, straight, tmp_path, file):
    """Training goes on, and says so once."""
    run = tmp_path / "run"
    ended = forge_watch.train(run, steps=8, every=2, inject=FULL_FOR.format(file=file))
    assert ended.code == 0, ended.err[-2000:]
    assert "Traceback" not in ended.err
    assert ended.err.count("cannot be written") == 1, ended.err
    forge_watch.same_weights(run, straight(steps=8, every=2))


# Whatever is written into the folder finds a read-only file system.
READ_ONLY = """
import builtins, errno, io, os
def refusing(function, writes):
    def call(path, *arguments, **options):
        inside = isinstance(path, (str, os.PathLike)) and str(path).startswith({folder!r})
        if inside and writes(*arguments, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return function(path, *arguments, **options)
    return call
io.open = builtins.open = refusing(open, lambda mode="r", *a, **o: set(mode) & set("wax+"))
os.mkdir, os.rename = (refusing(f, lambda *a, **o: True) for f in (os.mkdir, os.rename))
os.open = refusing(os.open, lambda flags, *a, **o: flags & (os.O_WRONLY | os.O_RDWR))
"""


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "existing run"])
def test_19_read_only_output_directory(watch, tmp_path, there):
    """Found before any training."""
    run = tmp_path / "run"
    if there:
        assert watch.train(run, steps=2, every=2).code == 0
    ended = watch.train(run, steps=4, every=2, inject=READ_ONLY.format(folder=str(run)))
    ended.refused(2, run, "Read-only file system")
    assert watch.subject.usable(run) == (2 if there else 0)


def test_20_output_directory_deleted_during_the_run(watch, straight, tmp_path):
    """It is made again, or it ends with one message; the same command then finishes."""
    run = tmp_path / "run"
    process = watch.start_training(run, steps=8, every=2)
    watch.wait_for_step(process, run, 2)
    while run.exists():
        shutil.rmtree(run, ignore_errors=True)
    ended = watch.end(process)
    if ended.code:
        ended.refused(ended.code, run)
        assert ended.code in (1, 8)
    else:
        watch.keeps(run, 8)
    assert watch.train(run, steps=8, every=2).code == 0
    watch.same_weights(run, straight(steps=8, every=2))


FSYNC_FAILS = """
import errno, os
def fsync(handle):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
os.fsync = fsync
"""


@pytest.mark.parametrize("code", ["EIO", pytest.param("EDQUOT", marks=pytest.mark.slow)])
def test_21_fsync_fails(forge_watch, straight, tmp_path, code):
    """What the disk says late counts: the save has failed, the one before stays."""
    run = tmp_path / "run"
    assert forge_watch.train(run, steps=2, every=2).code == 0
    ended = forge_watch.train(run, steps=4, every=2, inject=FSYNC_FAILS.format(code=code))
    ended.refused(8, "checkpoint of step 4", os.strerror(getattr(errno, code)))
    assert sorted(forge_watch.subject.saved(run)) == [2]
    assert forge_watch.train(run, steps=8, every=2).code == 0
    forge_watch.same_weights(run, straight(steps=8, every=2))


def test_22_unusual_paths(watch, straight, tmp_path):
    """Spaces, quotes, other scripts, a newline, a leading dash, and a name of 255 bytes, one within the other."""
    run = tmp_path / "with spaces" / 'it\'s "$HOME"' / "für 鞋 \N{ATHLETIC SHOE}" / "two\nlines" / "-x" / ("n" * 255)
    assert watch.train(run, steps=2, every=2).code == 0
    watch.keeps(run, 2)
    assert watch.train(run, steps=8, every=2).code == 0
    watch.same_weights(run, straight(steps=8, every=2))


SLOW = """
import os, time
from i2i_forge.run.checkpoint import writing
from i2i_forge.errors import ResourceError
writing.SLOW = 1
fsync = os.fsync
def crawl(handle):
    open({now!r}, "w").close()
    time.sleep(0.5)
    fsync(handle)
os.fsync = crawl
"""


def test_23_sigterm_while_a_slow_disk_saves(forge_watch, straight, tmp_path):
    """The save is finished first; the log says that it took long."""
    run, now = tmp_path / "run", tmp_path / "now"
    process = forge_watch.start_training(run, steps=100, every=2, inject=SLOW.format(now=str(now)))
    forge_watch.wait_for(process, now.exists)
    ended = forge_watch.end(process, signal.SIGTERM)
    assert ended.code == 143, ended.err
    assert "Traceback" not in ended.err
    done = forge_watch.subject.usable(run)
    assert f"after step {done}; everything is saved" in ended.err
    assert f"writing the checkpoint of step 2 to {run / 'checkpoints'} took " in (run / "log.txt").read_text()
    assert forge_watch.train(run, steps=8, every=2).code == 0
    forge_watch.same_weights(run, straight(steps=8, every=2))


class Weights:
    """Stands in for a trainer: its weights are the step."""

    ema = None

    def __init__(self, value):
        self.value = float(value)

    def state_dict(self):
        import torch

        return {"decoder.a.weight": torch.full((1000,), self.value)}

    optimizer_state = state_dict


@pytest.mark.parametrize("arrived", range(5), ids="{} files arrived".format)
@pytest.mark.parametrize("cut", [False, True], ids=["the others are missing", "the others are empty"])
def test_24_a_rename_that_is_not_atomic(tmp_path, monkeypatch, arrived, cut):
    """A network disk loses the connection within the rename: the target is there with some of its files."""
    root = tmp_path / "checkpoints"
    checkpoint.save(root, 10, Weights(10), {}, keep=3)

    def rename(self, target):
        Path(target).mkdir()
        for number, file in enumerate(sorted(self.iterdir())):
            if number < arrived or cut:
                (Path(target) / file.name).write_bytes(file.read_bytes() if number < arrived else b"")
        raise ConnectionAbortedError

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(writing, "_write_or_give_up", lambda *_: None)  # the process is gone
    monkeypatch.setattr(writing, "_remove_old", lambda *_: None)
    monkeypatch.setattr(writing, "PAUSE", 0)
    checkpoint.save(root, 20, Weights(20), {}, keep=3)
    said = []
    found = checkpoint.newest(root, said.append)
    assert found.step == (20 if arrived >= 4 else 10)
    assert len(said) == (0 if arrived >= 4 else 1)
    assert bool((found.model["decoder.a.weight"] == found.step).all())


def test_24_a_disk_that_knows_no_case(tmp_path):
    """No two files of a checkpoint have names that differ in case only."""
    folder = checkpoint.save(tmp_path, 1, Weights(1), {}, keep=3)
    names = [file.name.lower() for file in folder.iterdir()]
    assert len(set(names)) == len(names) == 4


def record(name):
    """A record of a run."""
    return records.Record.model_validate({
        "metric": "ssim", "protocol": "one/1", "value": 0.5, "unit": "none", "direction": "up",
        "n": {"inputs": 1, "outputs_per_input": 1}, "seeds": [0], "per_seed": [0.5], "created_utc": "2026-01-01",
        "model": {"name": name, "weights_sha256": "ab"},
        "data": {"name": "x", "split": "test", "list_sha256": "1", "reference_list_sha256": ""},
        "preprocess": {"size": [8, 8], "resize": "none", "antialias": False, "quantised": True, "codec": "none"},
        "backbone": {"id": "pixels", "weights_sha256": "", "version": ""},
        "env": {"package": "1", "torch": "2", "torchvision": "0", "device": "cpu", "deterministic": False},
    })  # fmt: skip


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 1])
def test_91_a_record_after_one_that_was_cut(tmp_path, share):
    """It costs the one that was cut, which is said; the others are read. A missing line end costs none."""
    first, cut, last = record("first"), record("c\u2028\x85t"), record("last")
    records.append(first, tmp_path)
    line = cut.model_dump_json(exclude_none=True).encode()
    with (tmp_path / records.FILE).open("ab") as file:
        file.write(line[: int(share * len(line))])
    records.append(last, tmp_path)
    said = []
    found = records.read(tmp_path / records.FILE, said.append)
    assert found == ([first, cut, last] if share == 1 else [first, last])
    assert said == ([] if share == 1 else [f"{tmp_path / records.FILE}:2: this line is cut off, and is left out"])


@pytest.mark.parametrize("cut", [b'{"metric": "x", "val', b'{"metric": "x", "val{"schema":1}', b'{"sch\0\0\0\0'])
def test_91_whatever_began_as_a_record_is_left_out(tmp_path, cut):
    (tmp_path / records.FILE).write_bytes(cut)
    records.append(record("last"), tmp_path)
    said = []
    assert records.read(tmp_path / records.FILE, said.append) == [record("last")]
    assert len(said) == 1


def test_91_what_is_no_beginning_of_a_record_is_an_error(tmp_path):
    (tmp_path / records.FILE).write_bytes(b"\0\0\n\x89PNG\n")
    said = []
    with pytest.raises(DataError, match=r"results.jsonl:2: this is not a record"):
        records.read(tmp_path / records.FILE, said.append)
    assert len(said) == 1


def test_91_a_cut_last_line_of_the_losses(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.write_bytes(b'{"step": 1}\n{"step": 2, "a/b/\xe2\x80')
    folder.record({"step": 2, "x/y/\u2028": 1.5})
    assert [entry for _, entry in folder.records()] == [{"step": 1}, {"step": 2, "x/y/\u2028": 1.5}]


BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # where `str.splitlines` cuts


def test_91_only_a_line_feed_ends_a_line(tmp_path):
    assert lines_of(f"a{BREAKS}b\n\nc") == [f"a{BREAKS}b", "", "c"] and lines_of("a\n") == ["a"] and lines_of("") == []
    name = f"a{BREAKS}b.png"
    (tmp_path / "list.txt").write_text(f"{name}\n2.png\n")
    assert list(read_list(tmp_path / "list.txt", tmp_path)) == [tmp_path / name, tmp_path / "2.png"]
    (tmp_path / name).write_bytes(b"x")
    write_inventory(tmp_path)
    assert damaged(tmp_path) == []


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


# The folder is renamed after three steps, and its name leads to another run.
RENAMED = """
from pathlib import Path
from i2i_forge.run.loop import Run
step = Run._step
def renaming(self, batch, done):
    run = Path({run!r})
    if done == 3:
        run.rename(run.with_name("moved"))
        run.symlink_to(run.with_name("other"))
    return step(self, batch, done)
Run._step = renaming
"""


def test_93_nothing_is_written_into_the_run_that_took_its_name(forge_watch, straight, tmp_path):
    run, other = tmp_path / "run", RunFolder(tmp_path / "other")
    other.prepare()
    (other.path / "run.lock").touch()
    ended = forge_watch.train(run, steps=8, every=2, inject=RENAMED.format(run=str(run)))
    assert ended.code == 0 and f"goes on in {tmp_path / 'moved'}" in ended.err, ended.err[-2000:]
    assert f"{tmp_path / 'moved'}: 8 steps done" in ended.out
    forge_watch.same_weights(tmp_path / "moved", straight(steps=8, every=2))
    assert len(list(RunFolder(tmp_path / "moved").records())) == 8
    assert sorted(path.name for path in other.path.rglob("*")) == ["checkpoints", "log.txt", "run.lock", "samples"]


NO_LOCKS = """
import errno, fcntl, os
def flock(*arguments):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
fcntl.flock = flock
"""


def test_105_a_disk_without_locks(forge_watch, tmp_path):
    ended = forge_watch.train(tmp_path / "run", steps=2, every=2, inject=NO_LOCKS.format(code="ENOLCK"))
    assert ended.code == 0, ended.err[-2000:]
    assert ended.err.count("knows no locks") == 1
    forge_watch.keeps(tmp_path / "run", 2)


def test_105_no_room_for_the_lock(tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ResourceError, match=rf"{tmp_path} cannot be written \(run.lock\): File too large"):
            RunFolder(tmp_path).locked().__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("name", ["recipe.yaml", "resolved.yaml", "env.json"])
def test_105_no_room_before_the_first_step(tmp_path, monkeypatch, name):
    folder, recipe, really_open = RunFolder(tmp_path), read_recipe("munit_synthetic"), Path.open

    def full(self, *arguments, **options):
        opened = really_open(self, *arguments, **options)
        if name not in self.name or not opened.writable():
            return opened
        opened.close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr("i2i_forge.run.folder.attribution", lambda *_: {})
    with pytest.raises(ResourceError, match=rf"{tmp_path} cannot be written \({name}\): No space left") as caught:
        folder.remember(recipe, "munit_synthetic", Host([]), "here")
    assert caught.value.exit_code == 8 and caught.value.fix
    assert not list(tmp_path.glob(".*"))
