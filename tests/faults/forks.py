"""`forge` in a fork of this process, which has imported everything already: seconds are saved with each."""

import faulthandler
import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress

import loaded  # noqa: F401
import torch._dynamo  # every optimizer imports it  # noqa: F401
from guard.sitecustomize import _watch

import i2i_forge.run.loop  # noqa: F401  so that forks have it

PROGRAMS = {"i2i_forge": "i2i_forge.cli", "torch.distributed.run": "torch.distributed.run"}  # -m name -> has `main`


class Fork:
    """A fork of this process that runs one of the programs, with what `Watch` needs of a Popen.

    Args:
        program: its name.
        arguments: those on its command line.
        environment: all of it.
        inject: Python source that runs before.
        folder: of the files that take what it says.
        preexec_fn: as of Popen.
    """

    def __init__(self, program, arguments, environment, inject, folder, preexec_fn=lambda: None):
        self._files = [folder / "out.txt", folder / "err.txt"]
        work = (program, arguments, environment, inject, self._files, preexec_fn)
        self._process = multiprocessing.get_context("fork").Process(target=_work, args=work)
        self._process.start()
        self.pid = self._process.pid

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


def _work(program, arguments, environment, inject, files, preexec_fn):
    gc.freeze()  # a collection would copy all that this process shares with the tests
    multiprocessing.process._parent_process = None  # it is no worker, as those that it starts are
    faulthandler.disable()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or in the background
    os.setsid()
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    preexec_fn()
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = [_stream(n) for n in (0, 1, 2)]
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what this process knows already
    multiprocessing.current_process()._config.pop("tempdir", None)
    allowed = environment["FAULTS_ALLOWED"].split(os.pathsep)
    os.chdir(allowed[0])
    warnings.resetwarnings()
    _watch(environment["FAULTS_VIOLATIONS"], tuple(allowed))
    exec(inject or "", {})
    importlib.import_module(PROGRAMS[program]).main(arguments)


def _stream(number):
    """What Python makes of it at its start."""
    with suppress(OSError):
        return open(number, "w" if number else "r", 1 if number == 2 else -1, closefd=False)
    return None
