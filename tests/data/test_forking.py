"""A fork that hangs is made again."""

import gc
import os
import signal
from pathlib import Path

import pytest

from i2i_forge.data import forking
from i2i_forge.data.workers import WorkerLost, prepared


def hang_in_the_first(monkeypatch, count):
    """The first `count` children stop where a lock would stop them: within the fork."""
    fork, made = os.fork, []

    def hanging():
        made.append(fork())
        if made[-1] == 0 and len(made) <= count:
            signal.pause()
        return made[-1]

    monkeypatch.setattr(os, "fork", hanging)
    return made


def files_open():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def values(workers):
    found = prepared(lambda number, note: (number, os.getpid()), range(6), workers=workers, timeout=60, pin=False)
    return list(found)


def test_a_child_that_hangs_in_the_fork_is_replaced(monkeypatch):
    values(2)  # opens what stays open
    open_files = files_open()
    monkeypatch.setattr(forking, "PATIENCE", (0.2, 30))
    made = hang_in_the_first(monkeypatch, 1)
    found = values(2)
    assert [number for number, _ in found] == list(range(6))
    assert {pid for _, pid in found} == set(made[1:]) and len(made) == 3
    with pytest.raises(ChildProcessError):  # it is gone, and was waited for
        os.waitpid(made[0], os.WNOHANG)
    assert files_open() <= open_files


def test_a_fork_that_hangs_whenever_it_is_made_is_an_error(monkeypatch):
    monkeypatch.setattr(forking, "PATIENCE", (0.1, 0.1))
    made = hang_in_the_first(monkeypatch, 99)
    with pytest.raises(WorkerLost, match=r"no forked process began in 0.2 s"):
        values(1)
    assert len(made) == 2


def test_a_child_that_ends_at_once_is_not_waited_for(monkeypatch):
    """A killed one counts as begun: that it is gone is found where values are waited for."""
    monkeypatch.setattr(forking, "PATIENCE", (600,))
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: fork() or os._exit(7))
    with pytest.raises(WorkerLost):
        values(1)
