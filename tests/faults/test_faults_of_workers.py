"""Data workers that are killed, hang or fall silent, and workers whose parent is killed: 11, 12, 15, 100, 101."""

import multiprocessing
import os
import re
import resource
import signal
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from image_files import folder_of

from i2i_forge.data import workers
from i2i_forge.data.workers import WorkerLost, prepared
from i2i_forge.errors import UsageError

AT_IMAGE = """
import builtins, io, multiprocessing, os, signal, time
from pathlib import Path
original = builtins.open
def opened(file, *arguments, **options):
    if str(file).endswith("3.png") and multiprocessing.parent_process() is not None:
        lost = Path({marks!r}, str(len(os.listdir({marks!r}))))
        if int(lost.name) < {times}:
            lost.touch()
            {what}
    return original(file, *arguments, **options)
builtins.open = io.open = opened  # the second is what Path.open calls
"""
KILLED, CRASHED = (f"os.kill(os.getpid(), signal.{name})" for name in ("SIGKILL", "SIGSEGV"))
IMPATIENT = "from i2i_forge.data import workers\nworkers.PATIENCE = 1.0  # seconds\n"
HANGS = "time.sleep(600)"
HOLDS = "import re; re.match('(a+)+$', 60 * 'a' + 'b')"  # the interpreter, for ever


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Seven images of a, six of b."""
    return folder_of(tmp_path_factory.mktemp("photos"), good=7)


@pytest.fixture
def settings(photos):
    """Of a run with two workers; three epochs, so that every image is read."""
    return {"steps": 8, "every": 2, "workers": 2, "data": photos}


def at_image(folder, what, times):
    """An injection: a worker that comes to an image named 3.png is lost, the first so many times."""
    marks = folder / "marks"
    marks.mkdir()
    return AT_IMAGE.format(marks=str(marks), what=what, times=times)


def losses(folder):
    return len(list((folder / "marks").iterdir()))


@pytest.mark.parametrize("what", [KILLED, pytest.param(CRASHED, marks=pytest.mark.slow)], ids=["SIGKILL", "SIGSEGV"])
def test_11_a_lost_worker_is_started_anew_at_the_same_batch(watch, straight, settings, tmp_path, what):
    ended = watch.goes_on(tmp_path / "run", straight, inject=at_image(tmp_path, what, times=1), **settings)
    assert losses(tmp_path) == 1
    assert "Traceback" not in ended.err, ended.err[-2000:]


@pytest.mark.slow
def test_11_lost_again_it_stops_and_names_what_it_was_reading(watch, settings, tmp_path):
    ended = watch.train(tmp_path / "run", inject=at_image(tmp_path, CRASHED, times=99), **settings)
    ended.refused(1, "3.png", "data.workers=0")


@pytest.mark.slow
def test_12_a_hanging_worker_is_started_anew(watch, straight, settings, tmp_path):
    inject = at_image(tmp_path, HANGS, times=1)
    ended = watch.train(tmp_path / "run", inject=inject, changes=("data.timeout=3",), **settings)
    assert losses(tmp_path) == 1
    assert ended.code == 0, ended.err[-2000:]
    watch.same_weights(tmp_path / "run", straight(**settings))


@pytest.mark.slow
def test_12_hanging_again_it_stops_and_names_what_it_was_reading(watch, settings, tmp_path):
    inject = at_image(tmp_path, HANGS, times=99)
    ended = watch.train(tmp_path / "run", inject=inject, changes=("data.timeout=3",), **settings)
    ended.refused(1, "3.png", "data.timeout")


@pytest.fixture
def short(monkeypatch):
    """Temporary files lie where the guard allows it, and a socket's path is short enough."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def values(read=lambda number, note: torch.full((3,), number), **settings):
    """Nine tensors, read by one worker."""
    return prepared(read, range(9), **{"workers": 1, "timeout": 1, "pin": False, **settings})


def holding(number, note):
    """Image 3 takes the interpreter from the worker's thread that hands over what is read."""
    note(f"image {number}")
    if number == 3:
        time.sleep(0.2)  # those before are on their way
        re.match("(a+)+$", 60 * "a" + "b")
    return torch.full((3,), number)


def test_100_a_worker_that_holds_the_interpreter_is_killed_and_named(short):
    with closing(values(holding)) as found:
        next(found)
        time.sleep(0.5)  # the step: the next tensors wait in the worker meanwhile
        with pytest.raises(WorkerLost, match="timed out after 1 seconds; it was reading image 3"):
            list(found)
    assert multiprocessing.active_children() == []


def test_100_a_stopped_worker_is_killed(short):
    with closing(values()) as found:
        next(found)
        stopped = multiprocessing.active_children()
        for worker in stopped:
            os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerLost, match="timed out"):
            list(found)
    assert not any(worker.is_alive() for worker in stopped)


def test_100_a_request_to_stop_does_not_wait_for_the_timeout(short, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    with pytest.raises(WorkerLost, match=r"timed out after 0.5 seconds; it was reading image 3"):
        list(values(holding, timeout=300, stop=[signal.SIGTERM]))


def test_100_sigterm_ends_a_run_whose_worker_is_silent(forge_watch, straight, settings, tmp_path):
    inject = IMPATIENT + at_image(tmp_path, HOLDS, times=1)
    process = forge_watch.start_training(tmp_path / "run", inject=inject, **settings)
    forge_watch.wait_for(process, lambda: losses(tmp_path))
    forge_watch.end(process, signal.SIGTERM).refused(143, "SIGTERM while waiting for images", "everything is saved")
    forge_watch.goes_on(tmp_path / "run", straight, **settings)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc who lives")
@pytest.mark.parametrize("busy", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["reading", "waiting"])
def test_15_no_worker_outlives_its_parent(watch, settings, tmp_path, busy):
    """The machine kills the largest process when memory runs out: that is the parent."""
    inject = at_image(tmp_path, HANGS, times=2 if busy else 0)
    process = watch.start_training(tmp_path / "run", inject=inject, **{**settings, "steps": 100_000})
    watch.wait_for(process, lambda: len(living(process.pid)) >= 2 and (losses(tmp_path) or not busy))
    workers = living(process.pid)
    watch.end(process, signal.SIGKILL, limit=15)
    until = time.monotonic() + 10
    while left := [worker for worker in workers if alive(worker)]:
        assert time.monotonic() < until, f"{len(left)} processes live on"
        time.sleep(0.05)


def living(pid):
    """The children of a process."""
    return [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_101_a_temporary_folder_too_long_for_sockets_is_said_before_the_first_worker(short, monkeypatch):
    folder = Path(tempfile.gettempdir(), 80 * "x")
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(UsageError, match=r"data.workers: .*path too long") as caught:
        next(values())
    assert "TMPDIR" in caught.value.fix


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts what is open there")
def test_101_fewer_open_files_than_workers_need_are_said_before_the_first_worker(short):
    limits, open_now = resource.getrlimit(resource.RLIMIT_NOFILE), len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"data.workers: 4 processes .*Too many open files") as caught:
            next(values(workers=4))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "ulimit -n" in caught.value.fix
