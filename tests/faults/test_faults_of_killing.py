"""Killed at any moment: 1 to 4. Two runs in one folder: 16."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_01_sigkill_during_training(watch, straight, tmp_path):
    run = tmp_path / "run"
    process = watch.start_training(run)
    watch.wait_for_step(process, run, 4)
    watch.end(process, signal.SIGKILL)
    watch.keeps(run, 4)
    watch.goes_on(run, straight)


# No file may grow beyond a size: the kernel kills who tries.
KILL_WITHIN_A_FILE = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


def test_02_sigkill_in_the_middle_of_a_file(watch, straight, run):
    """The kernel kills whoever writes more than half of what a checkpoint's largest file holds."""
    largest = max(file.stat().st_size for file in watch.subject.saved(run)[4])
    ended = watch.train(run, inject=KILL_WITHIN_A_FILE.format(size=largest // 2))
    assert ended.code == -signal.SIGXFSZ, ended.err[-500:]
    watch.keeps(run, 4)
    watch.goes_on(run, straight)


# Dies when so many files are written, synced or renamed.
KILL_BETWEEN_FILES = """
import os, signal, torch
left = [{moment}]
def counted(function):
    def call(*arguments, **options):
        result = function(*arguments, **options)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
os.fsync, torch.save, os.rename = map(counted, (os.fsync, torch.save, os.rename))
"""


@pytest.mark.parametrize("moment", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_03_sigkill_between_the_files_of_a_save(watch, straight, run, moment):
    """One save is whole, the next one is cut off after its first or second file."""
    ended = watch.train(run, inject=KILL_BETWEEN_FILES.format(moment=moment))
    assert ended.code == -signal.SIGKILL, ended.err[-500:]
    watch.keeps(run, 4)
    watch.goes_on(run, straight)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What is left after so many kills of a kind. One process has all children: a fork of it is quick."""
    command = [sys.executable, Path(__file__).with_name("killed_children.py"), tmp_path_factory.mktemp("killed")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def said(kind, count):
            print(kind, count, file=process.stdin, flush=True)
            assert select.select([process.stdout], [], [], 1 + 1.2 * count)[0], "a save hangs"
            return json.loads(process.stdout.readline())

        yield said


@pytest.mark.parametrize("kills", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_02_sigkill_at_random_moments_of_saving(killed, kills):
    """0 of n unreadable: at 95 % confidence fewer than 3/n are, 3 % of 100 and 0.3 % of 1,000."""
    said = killed("moments", kills)
    assert said == {"kills": kills, "unreadable": 0, "lost": 0, "saved": said["saved"]}
    assert said["saved"] > kills / 3  # it did save


def test_03_sigkill_around_the_rename_that_commits(killed):
    """After every system call of a save: the one before or the new one, never neither."""
    said = killed("calls", 100)
    assert (said["unreadable"], said["lost"]) == (0, 0)
    assert said["before"] > 30 and said["after"] > 10, said


def test_04_sigkill_while_an_old_one_is_removed(killed):
    """The new one is committed, the old one is anything between there and gone: never both gone."""
    said = killed("removal", 50)
    assert (said["unreadable"], said["lost"], said["kills"]) == (0, 0, 50)
    assert said["half_removed"] > 10, said


def test_16_two_runs_in_one_folder(watch, straight, tmp_path):
    """The second is refused and changes nothing; a lock whose process is gone holds nobody up."""
    run = tmp_path / "run"
    first = watch.start_training(run, steps=90)
    watch.wait_for_step(first, run, 2)
    first.send_signal(signal.SIGSTOP)  # it holds the folder all the same
    watch.train(run, steps=90).refused(2, run, f"process {first.pid} on {socket.gethostname()}")
    assert first.poll() is None
    watch.end(first, signal.SIGKILL)
    watch.goes_on(run, straight, steps=max(8, watch.subject.usable(run) + 2))
    assert watch.subject.name != "forge" or not (run / "run.lock").read_text()
