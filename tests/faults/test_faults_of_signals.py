"""Signals, a clock that jumps, memory that runs out: the run ends in good order, or does not notice."""

import os
import signal

import pytest
from at_step import at_step, raised

from i2i_forge.system.stop_requests import stop_requests

slow = pytest.mark.slow


@pytest.mark.parametrize("group", [False, True], ids=["to the process", "to its workers too"])
def test_05_sigterm_within_a_step(watch, straight, tmp_path, group):
    """To its workers too: as a job scheduler does."""
    stopped_and_goes_on(watch, straight, tmp_path / "run", signal.SIGTERM, group=group)


def test_06_sigint_once(watch, straight, tmp_path):
    stopped_and_goes_on(watch, straight, tmp_path / "run", signal.SIGINT)


@slow
def test_06_sigint_twice_stops_at_once(watch, straight, tmp_path):
    stopped_and_goes_on(watch, straight, tmp_path / "run", signal.SIGINT, twice=True)


def stopped_and_goes_on(watch, straight, run, number, *, group=False, twice=False):
    settings = {"workers": 2} if group else {}
    process = watch.start_training(run, **settings)
    watch.wait_for_step(process, run, 2)
    if twice:
        process.send_signal(number)
    is_gone = twice and process.poll() is not None
    ended = watch.end(process, None if is_gone else number, group=group)
    assert ended.code == 128 + number, ended.err[-2000:]
    assert "Traceback" not in ended.err
    watch.keeps(run, 2)
    watch.goes_on(run, straight, **settings)


def test_05_no_step_is_lost(forge_watch, tmp_path):
    saves_every_step(forge_watch, tmp_path / "run", signal.SIGTERM)


def test_89_a_terminal_that_is_closed(forge_watch, tmp_path):
    """Its SIGHUP reaches the data workers too."""
    saves_every_step(forge_watch, tmp_path / "run", signal.SIGHUP, group=True)


def saves_every_step(watch, run, number, *, group=False):
    process = watch.start_training(run, steps=90, every=1000, workers=int(group))
    records = run / "metrics.jsonl"
    watch.wait_for(process, lambda: records.exists() and records.read_text().count("\n") >= 3)
    words = f"stopped by {signal.Signals(number).name}", "everything is saved"
    watch.end(process, number, group=group).refused(128 + number, *words)
    assert watch.subject.usable(run) == records.read_text().count("\n")


def test_89_nohup_stays_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert requests == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


IMPORTING = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
"""


def test_06_sigint_while_modules_are_imported(forge_watch):
    ended = forge_watch.call("recipes", inject=IMPORTING, anew=True)
    assert (ended.code, ended.out, ended.err) == (130, "", "stopped\n")


CLOCK = """
import time

true, calls = time.time, []


def jumping():
    calls.append(1)
    return true() + (-1) ** len(calls) * 365 * 86400


time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
"""


def test_13_a_clock_that_jumps_back_and_forth(watch, straight, tmp_path):
    run = tmp_path / "run"
    assert watch.train(run, steps=4, inject=CLOCK).code == 0
    for step, files in watch.subject.saved(run).items():  # the oldest looks newest
        for file in files:
            os.utime(file, (2_000_000_000 - step, 2_000_000_000 - step))
    watch.goes_on(run, straight, inject=CLOCK)


CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.21 GiB is "
    "free. Including non-PyTorch memory, this process has 77.89 GiB memory in use. Of the allocated memory 76.50 GiB "
    "is allocated by PyTorch, and 512.00 MiB is reserved by PyTorch but unallocated."
)
CPU = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes. Error code 12"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (f"torch.OutOfMemoryError({CUDA!r})", ["it asked for 2.00 GiB, 77.89 GiB were in use"]),
        pytest.param(f"RuntimeError({CPU!r})", ["it asked for 4.00 GiB"], marks=slow),
    ],
    ids=["cuda", "cpu"],
)
def test_14_memory_runs_out_in_the_midst_of_a_step(forge_watch, straight, tmp_path, error, words):
    run = tmp_path / "run"
    ended = forge_watch.train(run, inject=at_step(forge_watch, raised(error)))
    ended.refused(8, "out of memory on cpu at step 3", *words, "run.micro_batch", "data.size", "--precision bf16")
    assert list(forge_watch.subject.saved(run)) == [2]  # not the half step, in which one player was updated
    forge_watch.goes_on(run, straight)
