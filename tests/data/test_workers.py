"""Data workers: what a lost one costs, what ends them and what does not, and that none stays."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numbered import Failing, Numbers, indices, make
from packed_folders import same

from i2i_forge.data.stream import batches
from i2i_forge.errors import DataError, ForgeError

# a worker that is killed while it hands over a tensor leaves our end of the socket to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Hanging(Numbers):
    """Example 2 takes very long."""

    def example(self, index, random):
        if index == 2:
            time.sleep(600)
        return super().example(index, random)


class Buggy(Numbers):
    def example(self, index, random):
        raise RuntimeError("a mistake in the data set's own code")


class Lethal(Numbers):
    """Some examples kill the process that reads them: each the first `deaths` times."""

    def __init__(self, count, folder, deaths, lethal=(2,)):
        super().__init__(count)
        self.folder, self.deaths, self.lethal = folder, deaths, lethal

    def example(self, index, random):
        died = len(list(self.folder.glob(f"{index}-*")))
        if index in self.lethal and died < self.deaths:
            (self.folder / f"{index}-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().example(index, random)


def children():
    gc.collect()  # iterators that an error of another test kept
    return set(multiprocessing.active_children())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_data_set_is_not_taken_for_a_lost_worker(workers):
    with pytest.raises(RuntimeError, match="own code"):
        list(batches({"main": make(Buggy(7))}, 0, 3, workers, pin=False))


def test_a_killed_worker_is_started_anew_at_the_same_batch(tmp_path, caplog):
    stream = make(Lethal(7, tmp_path, deaths=1))
    got = list(batches({"main": stream}, 0, 7, 1, pin=False))
    assert len(list(tmp_path.iterdir())) == 1
    assert all(same(g, make(Numbers(7)).batch(step)) for step, g in enumerate(got))
    assert len(got) == 7
    assert "started anew" in caplog.text


def test_a_worker_killed_twice_is_an_error_that_says_what_it_was_reading_and_what_to_do(tmp_path):
    with pytest.raises(ForgeError, match=r"lost again, at batch .* it was reading a2\n") as caught:
        list(batches({"main": make(Lethal(7, tmp_path, deaths=9))}, 0, 7, 2, pin=False))
    assert "data.workers=0" in caught.value.fix
    assert len(list(tmp_path.iterdir())) == 2


def test_workers_may_be_lost_again_after_enough_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("i2i_forge.data.stream.BETWEEN_LOSSES", 3)
    healthy = make(Numbers(60))
    lethal = [indices(healthy, [step])[0] for step in (4, 16, 28)]
    got = list(batches({"main": make(Lethal(60, tmp_path, 1, lethal))}, 0, 30, 1, pin=False))
    assert len(list(tmp_path.iterdir())) == 3
    assert all(same(g, healthy.batch(step)) for step, g in enumerate(got))
    assert len(got) == 30


def test_a_worker_that_hangs_is_named_with_what_it_reads_and_does_not_stay():
    others = children()
    with pytest.raises(ForgeError, match=r"timed out .* it was reading a2\n") as caught:
        list(batches({"main": make(Hanging(7))}, 0, 7, 2, pin=False, timeout=1))
    assert "data.timeout" in caught.value.fix
    assert children() - others == set()


def test_a_worker_lost_during_a_step_does_not_break_the_step(tmp_path):
    """Half a step cannot be taken back: the loss is noticed when the next batch is asked for."""
    stream = make(Numbers(7))
    before = children()
    source = batches({"main": stream}, 0, 40, 1, pin=False)
    got = [next(source)]
    [worker] = children() - before
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    for _ in range(1000):  # the step: a signal handler that raises would do it here
        got[0] = dict(got[0])
    got += source
    assert len(got) == 40
    assert all(same(g, stream.batch(step)) for step, g in enumerate(got))


def test_workers_outlast_the_first_request_to_stop():
    stream = make(Numbers(7))
    before = children()
    source = batches({"main": stream}, 0, 40, 2, pin=False)
    got = [next(source)]
    for worker in children() - before:
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
    got += source
    assert all(same(g, stream.batch(step)) for step, g in enumerate(got))


def test_signal_handlers_and_workers_are_gone_after_closing():
    list(batches({"main": make()}, 0, 1, 1, pin=False))  # torch sets its own, once
    before, others = signal.getsignal(signal.SIGCHLD), children()
    source = batches({"main": make()}, 0, 40, 2, pin=False)
    next(source)
    assert signal.getsignal(signal.SIGCHLD) is not before
    source.close()
    assert signal.getsignal(signal.SIGCHLD) is before
    assert children() - others == set()


def test_a_program_that_ends_without_closing_leaves_no_workers():
    program = """
from i2i_forge.data.workers import prepared
values = prepared(lambda number, note: number, range(40), workers=2, timeout=60, pin=False)
print(next(values), *(worker.pid for worker in __import__("multiprocessing").active_children()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    value, *workers = map(int, ended.stdout.split())
    assert value == 0 and len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_an_error_leaves_no_workers():
    others = children()
    with pytest.raises(DataError):
        list(batches({"main": make(Failing(7))}, 0, 40, 2, pin=False))
    assert children() - others == set()
