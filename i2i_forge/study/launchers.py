"""Jobs, and a launcher that runs them on this machine."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_forge.system.files import open_to_append


@dataclass(frozen=True)
class Job:
    """Commands of `forge`, one after the other as long as each succeeds; what they print goes to a log.

    It is what a job of submitit calls; stopped by the scheduler, it is queued again, and its commands resume.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path
    threads: int = 0  # of each process; 0: as many as it likes

    def __call__(self, started: Callable[[subprocess.Popen[bytes]], object] = lambda process: None) -> int:
        """Run the commands; the exit code of the first that fails, or 0. `started` is handed each process."""
        threads = {f"{of}_NUM_THREADS": str(self.threads) for of in ("OMP", "MKL")} if self.threads else {}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for command in self.commands:
            with open_to_append(self.log) as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "i2i_forge", *command], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, env={**os.environ, **threads},
                )  # fmt: skip
            started(process)
            if code := process.wait():
                return code
        return 0

    def checkpoint(self) -> Any:
        """What submitit is to queue in place of a job that is being stopped: the same."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


Ended = Generator[tuple[Job, int], None, None]  # each job as it ends, with its exit code
Launcher = Callable[[Sequence[Job]], Ended]


class LocalLauncher:
    """On this machine, some at once; closed early, it asks what runs to stop and waits until it has saved."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once

    def __call__(self, jobs: Sequence[Job]) -> Ended:
        """Run the jobs; yields each as it ends, with its exit code."""
        running = _Running()
        with ThreadPoolExecutor(self.at_once) as pool:
            waiting = {pool.submit(job, running.add): job for job in jobs}
            try:
                for ended in as_completed(waiting):
                    yield waiting[ended], ended.result()
            except BaseException:
                for job in waiting:
                    job.cancel()
                running.stop()
                raise


class _Running:
    """The processes that were started; after `stop`, those that are started too late end at once."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.is_stopped = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        self.processes.append(process)
        if self.is_stopped:
            process.terminate()

    def stop(self) -> None:
        self.is_stopped = True
        for process in self.processes:
            process.terminate()  # a training run saves first


def threads_each(at_once: int) -> int:
    """How many threads each of so many processes gets of this machine, or of what OMP_NUM_THREADS leaves of it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, (int(allowed) if allowed.isdecimal() else cores) // at_once)
