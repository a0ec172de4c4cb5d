"""Processes that are forked again until they begin.

A fork copies memory while other threads run. If one of them is at the list of threads just then, the child waits for
the lock on that list for ever (CPython 3.11 takes it before it renews it). Gloo's threads come to it whenever they let
go of what they have sent, some time after the answer is there, so they cannot be waited for. A child that does not
begin has touched nothing: it is killed, and another one takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext, ForkContext, ForkProcess
from multiprocessing.popen_fork import Popen
from pathlib import Path
from typing import Any

from torch.multiprocessing import get_sharing_strategy

from i2i_forge.errors import UsageError

FILES, FILES_OF_WORKER = 20, 12  # that are opened to talk with processes: measured with two images in each batch
PATIENCE = (0.5, 1, 2, 4, 8, 16, 32)  # seconds for a child to begin; milliseconds are usual


class _Process(ForkProcess):
    """Tells when it begins."""

    told, tell = -1, -1  # the two ends of a pipe

    @staticmethod
    def _Popen(process_obj: Any) -> Popen:
        return _Popen(process_obj)

    def run(self) -> None:
        os.write(self.tell, b".")
        os.close(self.tell)
        os.close(self.told)
        super().run()


class _Popen(Popen):
    def _launch(self, process_obj: Any) -> None:
        for patience in PATIENCE:
            process_obj.told, process_obj.tell = os.pipe()
            super()._launch(process_obj)  # type: ignore[misc]  # it returns in the parent only
            os.close(process_obj.tell)
            begun_or_ended = wait([process_obj.told], patience)
            os.close(process_obj.told)
            if begun_or_ended:
                return
            self.kill()
            self.wait()
            self.returncode = None
            self.finalizer()  # type: ignore[misc]  # closes this child's pipes
        raise RuntimeError(f"no forked process began in {sum(PATIENCE):g} s")


class _Context(ForkContext):
    Process = _Process


def context() -> BaseContext:
    """How data workers are started: as multiprocessing does, but a fork that hangs is made again."""
    return _Context() if multiprocessing.get_start_method() == "fork" else multiprocessing.get_context()


def require_means(workers: int) -> None:
    """Find out before the first one starts whether processes can hand over tensors, by trying it.

    Raises:
        UsageError: too few files may be open, or the temporary folder does not take a socket.
    """
    if get_sharing_strategy() != "file_descriptor":  # type: ignore[no-untyped-call]
        return
    without = "--set data.workers=0 prepares images without further processes"
    try:
        with ExitStack() as opened:
            for _ in range(FILES + FILES_OF_WORKER * workers):
                opened.enter_context(Path(os.devnull).open("rb"))
    except OSError as error:
        raise UsageError(
            f"data.workers: {workers} processes need more open files than this one may have: {error.strerror}",
            fix=f"raise the limit (ulimit -n {1024 + FILES_OF_WORKER * workers}); {without}",
        ) from error
    try:
        with tempfile.TemporaryDirectory(prefix="pymp-") as folder, socket.socket(socket.AF_UNIX) as one:
            one.bind(str(Path(folder, "listener-12345678")))  # as long as the name that multiprocessing gives it
    except OSError as error:
        raise UsageError(
            f"data.workers: processes talk by sockets among temporary files, where none can be made: {error}",
            fix=f"set TMPDIR to a folder of this machine whose path is short, such as /tmp; {without}",
        ) from error
