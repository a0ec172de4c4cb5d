"""Killed at any moment: 1 to 4. Two runs in one folder: 16."""

import gc
import os
import random
import signal
import socket
import sys
import time

import pytest
from forged_checkpoints import Weights

from i2i_forge.run import checkpoint


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


class Trial:
    """Kills one child after another, forks of this process, and looks at what they leave.

    Attributes:
        said: how many kills there were, how many checkpoints could not be read, how many saves that had returned were
            lost, and where the kills hit.
    """

    def __init__(self, root):
        self.root, self.last, self.draw = root, 0, random.Random(0)
        self.said = {"kills": 0, "unreadable": 0, "lost": 0}
        checkpoint.save(root, 0, Weights(0), {}, keep=2)

    def kill(self, child_work, after=None):
        """Start a child; kill it after so many seconds, or let it kill itself. Returns the newest step then."""
        child = os.fork()
        if child == 0:
            try:
                gc.disable()  # a collection would copy all that is shared with the tests
                child_work()
            finally:
                os._exit(1)
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        self.said["kills"] += os.WIFSIGNALED(status)
        problems = []
        try:
            found = checkpoint.newest(self.root, problems.append)
            whole = bool((found.model["decoder.a.weight"] == found.step).all())
            self.said["unreadable"] += len(problems) + (not whole)
            self.said["lost"] += found.step < self.last
            self.last = found.step
        except Exception as error:
            self.said["unreadable"] += 1
            sys.stderr.write(f"{error}\n")
        return self.last

    def save(self, step, keep=2):
        checkpoint.save(self.root, step, Weights(step), {}, keep)

    def moments(self, count):
        """At random moments of endless saving, removal of old ones included."""

        def work():
            for step in range(self.last + 1, self.last + 10_000):
                self.save(step)

        began = time.monotonic()
        self.save(1)
        self.last = 1
        longest = 4 * (time.monotonic() - began)
        for number in range(count):
            self.kill(work, after=self.draw.uniform(0.001, max(longest, 0.06)))
            if number % 3 == 0:
                checkpoint.sweep(self.root)
        self.said["saved"] = self.last

    def calls(self, count):
        """After the first, second ... system call of a save that changes the disk."""
        self.said |= {"before": 0, "after": 0}
        for number in range(count):
            before, step = self.last, self.last + 1

            def work(step=step, left=1 + number % 12):
                die_at_call(left)
                self.save(step)

            newest = self.kill(work)
            self.said["after" if newest > before else "before"] += 1

    def removal(self, count):
        """While the checkpoint before the last is removed, after each of its files."""
        self.said |= {"half_removed": 0}
        for number in range(count):
            step = self.last + 1

            def work(step=step, left=1 + number % 9):
                commit = os.rename

                def rename(*places):
                    commit(*places)
                    os.rename = commit
                    die_at_call(left)

                os.rename = rename
                self.save(step, keep=1)

            self.said["lost"] += self.kill(work) != step  # the new one was committed
            trash = list(self.root.glob(".trash-*"))
            self.said["half_removed"] += any(len(list(folder.iterdir())) < 4 for folder in trash)
            checkpoint.sweep(self.root)


def die_at_call(left):
    """This process kills itself after so many calls that change what is on disk."""
    calls = [left]

    def counted(function):
        def call(*arguments, **options):
            result = function(*arguments, **options)
            calls[0] -= 1
            if calls[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in ("fsync", "mkdir", "rename", "unlink", "rmdir", "open", "write"):
        setattr(os, name, counted(getattr(os, name)))


@pytest.fixture
def trial(tmp_path):
    """Children that are killed while they save."""
    return Trial(tmp_path / "checkpoints")


@pytest.mark.parametrize("kills", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_02_sigkill_at_random_moments_of_saving(trial, kills):
    """0 of n unreadable: at 95 % confidence fewer than 3/n are, 3 % of 100 and 0.3 % of 1,000."""
    trial.moments(kills)
    assert trial.said == {"kills": kills, "unreadable": 0, "lost": 0, "saved": trial.last}
    assert trial.last > kills / 3  # it did save


def test_03_sigkill_around_the_rename_that_commits(trial):
    """After every system call of a save: the one before or the new one, never neither."""
    trial.calls(100)
    assert (trial.said["unreadable"], trial.said["lost"]) == (0, 0)
    assert trial.said["before"] > 30 and trial.said["after"] > 10, trial.said


def test_04_sigkill_while_an_old_one_is_removed(trial):
    """The new one is committed, the old one is anything between there and gone: never both gone."""
    trial.removal(50)
    assert (trial.said["unreadable"], trial.said["lost"], trial.said["kills"]) == (0, 0, 50)
    assert trial.said["half_removed"] > 10, trial.said


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
