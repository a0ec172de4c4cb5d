"""Running a subject with a fault, and the rules of having survived it.

a   it goes on, or ends with the documented exit code, within the time limit       Watch.train, Ended.refused
b   the newest verified checkpoint is usable; no more than one save interval lost  Watch.keeps
c   without the fault the same command ends as a run that had none: with its       Watch.goes_on
    weights, and with what forge has recorded of every step
d   nothing outside the folder is written, nobody contacted, no program started    fixture `watched`, for every test
e   one message of at most six lines, with the file or key and the fix             Ended.refused
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from forks import PROGRAMS, Fork

PYTHON = [sys.executable, "-m"]
GUARD = Path(__file__).parent / "guard"
LIMIT = 60  # seconds: longer is a hang
OTHER_WEIGHTS = "the weights differ from those of a run without the fault"


@dataclass
class Ended:
    """What a process left."""

    code: int
    out: str
    err: str

    def refused(self, code, *words):
        """It ended with the documented exit code and one message (rules a and e).

        Args:
            code: the documented exit code.
            words: what the message must name.
        """
        assert self.code == code, f"exit code {self.code}, not {code}:\n{self.err[-2000:]}"
        assert "Traceback" not in self.err, self.err[-2000:]
        lines = self.err.splitlines()
        start = max((i for i, line in enumerate(lines) if line.lower().startswith("error:")), default=None)
        assert start is not None, f"no message:\n{self.err[-2000:]}"
        message = lines[start:]
        assert len(message) <= 6, "\n".join(message)
        assert any(line.startswith("fix:") for line in message), f"it does not say what to do:\n{self.err[-2000:]}"
        text = " ".join(message)
        for word in words:
            assert str(word) in text, f"{word!r} is not named in: {text}"
        return self


class Watch:
    """Starts processes under guard; whatever still runs when the test ends is killed.

    Attributes:
        subject: what is tested.
        folder: where it may write.
    """

    def __init__(self, subject, folder):
        self.subject, self.folder = subject, folder
        self.violations = folder / "violations.txt"
        self.started = []
        for name in ("home", "cache"):
            (folder / name).mkdir(exist_ok=True)
        self.temporary = tempfile.mkdtemp(prefix="faults-")  # short: sockets lie there, and their paths have a limit
        self.environment = os.environ | {
            "HOME": str(folder / "home"), "TMPDIR": self.temporary, "FORGE_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(GUARD), "PYTHONDONTWRITEBYTECODE": "1",
            "FAULTS_ALLOWED": os.pathsep.join([str(folder), self.temporary]),
            "FAULTS_VIOLATIONS": str(self.violations), "COLUMNS": "200",
        }  # fmt: skip

    def start(self, command, *, inject=None, environment=None, anew=False, **options):
        """Start a process: `forge` and torchrun as forks of this one, anything else as a user starts it.

        Args:
            inject: Python source that runs in it (and in its Python children) before everything else.
            environment: variables beside the usual ones.
            anew: not as a fork: where it matters how Python starts, or what is imported when.
            options: `preexec_fn`, or others of Popen for a process that is no fork.
        """
        words, settings = [str(word) for word in command], self.environment | (environment or {})
        place = Path(self.temporary) / str(len(self.started))
        place.mkdir()
        if words[:2] == PYTHON and words[2] in PROGRAMS and not anew:
            process = Fork(words[2], words[3:], settings, inject, place, **options)
        else:
            if inject is not None:
                guard = (GUARD / "sitecustomize.py").read_text()
                (place / "sitecustomize.py").write_text(f"{guard}\n\n{inject}\n")
                settings["PYTHONPATH"] = str(place)
            process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings, cwd=self.folder,
                start_new_session=True, **options,
            )  # fmt: skip
        self.started.append(process)
        return process

    def end(self, process, number=None, *, group=False, limit=LIMIT):
        """Wait until it ends, after a signal if one is given; a hang fails the test (rule a)."""
        if number is not None:
            assert process.poll() is None, "it ended before the signal: let it take more steps"
            os.killpg(process.pid, number) if group else process.send_signal(number)
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"it hung for {limit} seconds: {process.communicate()[1][-2000:]}")
        return Ended(process.returncode, out, err)

    def call(self, *arguments, **options):
        """Run `forge` with arguments to its end."""
        limit = options.pop("limit", LIMIT)
        return self.end(self.start([*PYTHON, "i2i_forge", *arguments], **options), limit=limit)

    def train(self, run, *, limit=LIMIT, **settings):
        """Train the subject to its end (rule a)."""
        return self.end(self.start_training(run, **settings), limit=limit)

    def start_training(self, run, *, inject=None, anew=False, **settings):
        """Start training the subject."""
        return self.start(self.subject.command(run, **settings), inject=inject, anew=anew)

    def goes_on(self, run, straight, *, inject=None, **settings):
        """The same command ends as an undisturbed run: without the fault, or with one that costs nothing (rule c)."""
        ended = self.train(run, inject=inject, **settings)
        assert ended.code == 0, ended.err[-2000:]
        self.same_weights(run, straight(**settings))
        return ended

    def wait_for(self, process, condition, *, limit=LIMIT):
        """Until the condition holds; the process must not end before."""
        until = time.monotonic() + limit
        while not condition():
            assert process.poll() is None, f"it ended early: {process.communicate()[1][-2000:]}"
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.01)

    def wait_for_step(self, process, run, step):
        """Until a checkpoint of this step or a later one is on disk."""

        def is_there():
            with suppress(OSError, EOFError, RuntimeError):  # being written
                return max(self.subject.saved(run), default=0) >= step
            return False

        self.wait_for(process, is_there)

    def keeps(self, run, step):
        """A checkpoint of this step or a later one is usable (rule b)."""
        usable = self.subject.usable(run)
        assert usable >= step, f"step {step} is lost, it would go on at step {usable}"

    def left(self, run):
        """What a run came to: the digest of its newest checkpoint, and its records."""
        return self.subject.digest(run), self.subject.records(run)

    def same_weights(self, run, straight, *, records=True):
        """Both runs ended with the same weights, and recorded the same losses unless that was the fault (rule c)."""
        digest, recorded = straight
        assert self.subject.digest(run) == digest, OTHER_WEIGHTS
        assert not records or self.subject.records(run) == recorded

    def finish(self):
        """Kill what still runs; what was done outside the folder fails the test (rule d)."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        shutil.rmtree(self.temporary, ignore_errors=True)
        assert not self.violations.exists(), self.violations.read_text()
