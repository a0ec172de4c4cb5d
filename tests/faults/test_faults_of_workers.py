"""Data workers that are killed or hang, and workers whose parent is killed: 11, 12, 15."""

import signal
import time
from pathlib import Path

import pytest
from PIL import Image

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
HANGS = "time.sleep(600)"


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Seven images for each side."""
    root = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 7), ("test", 3)):
        for side in "AB":
            (root / f"{split}{side}").mkdir()
            for number in range(count):
                colour = (30 * number, 90, 200 if side == "A" else 20)
                Image.new("RGB", (64, 64), colour).save(root / f"{split}{side}" / f"{number}.png")
    return root


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
    ended = watch.train(tmp_path / "run", inject=at_image(tmp_path, what, times=1), **settings)
    assert losses(tmp_path) == 1
    assert ended.code == 0, ended.err[-2000:]
    assert "Traceback" not in ended.err, ended.err[-2000:]
    watch.same_weights(tmp_path / "run", straight(**settings))


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
