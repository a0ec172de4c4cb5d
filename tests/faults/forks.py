"""`forge` in a fork of this process, which has imported everything already: seconds are saved with each.

What must be as a user starts it, or is of other programs too, is started by `Watch` instead.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings

from guard.sitecustomize import _watch

import i2i_forge.run.loop  # noqa: F401  so that forks have it
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.cli import main

load_plugins()


class Fork:
    """A fork of this process that runs `forge`, with what `Watch` needs of a Popen."""

    def __init__(self, watch, arguments, environment, inject):
        number = len(watch.started)
        self._files = [watch.folder / f"{name}-{number}.txt" for name in ("out", "err")]
        work = (arguments, watch.environment | environment, inject, self._files)
        self._process = multiprocessing.get_context("fork").Process(target=_work, args=work)
        self._process.start()
        self.pid = self._process.pid
        watch.started.append(self)

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()

    def communicate(self, timeout=None):
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("forge", timeout)
        return [file.read_text() for file in self._files]


def _work(arguments, environment, inject, files):
    os.setsid()
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.environ.update(environment)
    tempfile.tempdir = None  # what this process knows already
    allowed = environment["FAULTS_ALLOWED"].split(os.pathsep)
    os.chdir(allowed[0])
    warnings.resetwarnings()
    _watch(environment["FAULTS_VIOLATIONS"], tuple(allowed))
    exec(inject or "", {})
    main(arguments)


def train(watch, run, *, inject=None, **settings):
    """As `watch.train`, of forge."""
    return watch.end(Fork(watch, watch.subject.command(run, **settings)[3:], {}, inject))
