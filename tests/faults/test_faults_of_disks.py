"""Disks that are full, fail, vanish, crawl, or know no locks: 17 to 21, 23, 24, 105."""

import errno
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
from forged_checkpoints import Weights

from i2i_forge.catalog.loading import Host
from i2i_forge.errors import ResourceError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import writing
from i2i_forge.run.folder import RunFolder

# No file may grow beyond a size: a write beyond it fails, as on a full disk.
FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


def test_17_disk_full_while_saving(watch, straight, run):
    largest = max(file.stat().st_size for file in watch.subject.saved(run)[4])
    ended = watch.train(run, inject=FULL.format(size=largest // 2))
    ended.refused(8, "checkpoint of step 6", "File too large")
    watch.keeps(run, 4)
    assert not list(run.rglob(".tmp-*"))
    watch.goes_on(run, straight)


def test_17_no_room_is_seen_before_writing(tmp_path, monkeypatch):
    """The free space is asked for first, and again after a pause."""
    checkpoint.save(tmp_path, 10, Weights(10), {}, keep=3)
    asked = []

    def usage(path):
        asked.append(path)
        return shutil._ntuple_diskusage(10**9, 10**9, 1000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("it began to write"))
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
    ended = forge_watch.train(tmp_path / "run", inject=FULL_FOR.format(file=file))
    assert ended.code == 0, ended.err[-2000:]
    assert "Traceback" not in ended.err
    assert ended.err.count("cannot be written") == 1, ended.err
    forge_watch.same_weights(tmp_path / "run", straight(), records=file != "metrics.jsonl")


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
def test_19_read_only_output_directory(watch, run, there):
    """Found before any training."""
    if not there:
        shutil.rmtree(run)
    watch.train(run, inject=READ_ONLY.format(folder=str(run))).refused(2, run, "Read-only file system")
    assert watch.subject.usable(run) == (4 if there else 0)


def test_20_output_directory_deleted_during_the_run(watch, straight, tmp_path):
    """It is made again, or it ends with one message; the same command then finishes."""
    run = tmp_path / "run"
    process = watch.start_training(run)
    watch.wait_for_step(process, run, 2)
    while run.exists():
        shutil.rmtree(run, ignore_errors=True)
    ended = watch.end(process)
    if ended.code:
        ended.refused(ended.code, run)
        assert ended.code in (1, 8)
    else:
        watch.keeps(run, 8)
    assert watch.train(run).code == 0
    watch.same_weights(run, straight(), records=False)  # those of the first steps went with the folder


FSYNC_FAILS = """
import errno, os
from i2i_forge.run.checkpoint import writing
writing.PAUSE = 0
def fsync(handle):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
os.fsync = fsync
"""


@pytest.mark.parametrize("code", ["EIO", pytest.param("EDQUOT", marks=pytest.mark.slow)])
def test_21_fsync_fails(forge_watch, straight, run, code):
    """What the disk says late counts: the save has failed, the one before stays."""
    ended = forge_watch.train(run, inject=FSYNC_FAILS.format(code=code))
    ended.refused(8, "checkpoint of step 6", os.strerror(getattr(errno, code)))
    assert sorted(forge_watch.subject.saved(run)) == [2, 4]
    forge_watch.goes_on(run, straight)


SLOW = """
import os, time
from i2i_forge.run.checkpoint import writing
writing.SLOW = 0.4
fsync = os.fsync
def crawl(handle):
    open({now!r}, "w").close()
    time.sleep(0.1)
    fsync(handle)
os.fsync = crawl
"""


def test_23_sigterm_while_a_slow_disk_saves(forge_watch, straight, tmp_path):
    """The save is finished first; the log says that it took long."""
    run, now = tmp_path / "run", tmp_path / "now"
    process = forge_watch.start_training(run, steps=90, inject=SLOW.format(now=str(now)))
    forge_watch.wait_for(process, now.exists)
    ended = forge_watch.end(process, signal.SIGTERM)
    assert ended.code == 143, ended.err
    assert "Traceback" not in ended.err
    done = forge_watch.subject.usable(run)
    assert f"after step {done}; everything is saved" in ended.err
    log = (run / "log.txt").read_text()
    assert f"writing the checkpoint of step 2 to {run / 'checkpoints'} took " in log
    forge_watch.goes_on(run, straight)
    assert (run / "log.txt").read_text().count(" took ") == log.count(" took ")  # this time the disk is not slow


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
        raise SystemExit  # the process goes as well

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(SystemExit):
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


NO_LOCKS = """
import errno, fcntl, os
def flock(*arguments):
    raise OSError(errno.{code}, os.strerror(errno.{code}))
fcntl.flock = flock
"""


def test_105_a_disk_without_locks(forge_watch, tmp_path):
    ended = forge_watch.train(tmp_path / "run", steps=2, inject=NO_LOCKS.format(code="ENOLCK"))
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
