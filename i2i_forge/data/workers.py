"""Values that processes of their own prepare, in order; a lost process is told from a mistake in what it ran."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import count
from multiprocessing.sharedctypes import RawArray
from types import FrameType, TracebackType
from typing import Any

from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils.signal_handling import _set_SIGCHLD_handler

from i2i_forge.data import forking

Read = Callable[[int, Callable[[str], None]], Any]  # a number, and what is told each file before it is read -> a value

PR_SET_PDEATHSIG = 1  # of prctl(2)
TICK = 0.25  # seconds between two looks of the watchdog
PATIENCE = 10.0  # seconds that a wait may take once a stop is asked for


class WorkerLost(Exception):
    """A process was killed or hangs; the text says what it was reading."""


def prepared(
    read: Read, numbers: range, *, workers: int, timeout: float, pin: bool, stop: Sequence[int] = ()
) -> Generator[Any, None, None]:
    """`read` of each number, in order.

    Args:
        workers: how many processes; 0: this one.
        timeout: seconds without a value after which a process counts as hanging.
        pin: whether tensors are put into pinned memory.
        stop: holds something when a stop is asked for; then a process that gives nothing for some seconds is lost.

    Raises:
        UsageError: this machine's limits do not allow so many processes.
        WorkerLost: a process was killed or hangs. It is raised while we wait for a value; torch alone raises anywhere.
    """
    if workers:
        forking.require_means(workers)
    job = _Job(read, workers)
    loader: DataLoader[Any] = DataLoader(
        job,  # type: ignore[arg-type]
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=partial(_begin, _parent()),
        pin_memory=pin,
        multiprocessing_context=forking.context() if workers else None,
    )
    yield from _watched(loader, job, timeout, stop) if workers else loader


def _watched(loader: DataLoader[Any], job: _Job, timeout: float, stop: Sequence[int]) -> Generator[Any, None, None]:
    values: Any = None
    stuck: dict[Any, str] = {}
    ours = threading.current_thread() is threading.main_thread()
    _set_SIGCHLD_handler()  # otherwise torch does so when the first worker runs, which may be lost at once
    check = signal.getsignal(signal.SIGCHLD)  # raises when a worker was lost

    def check_when_waiting(number: int = signal.SIGCHLD, frame: FrameType | None = None) -> None:
        if watchdog.wait is not None and ours and callable(check):
            check(number, frame)

    def kill() -> None:
        for worker in values._workers if values is not None else ():
            worker.kill()  # does nothing to one that has ended

    def kill_stuck() -> None:
        stuck.update(job.unfinished(values._workers))
        kill()

    watchdog = _Watchdog(kill_stuck, timeout, stop)
    atexit.register(kill)  # a program may end without closing this, and workers outlast a request to stop
    if ours:
        signal.signal(signal.SIGCHLD, check_when_waiting)
    try:
        values = iter(loader)
        with watchdog:
            for watchdog.wait in count():
                check_when_waiting()
                value = next(values, _NO_MORE)
                watchdog.wait = None
                if value is _NO_MORE:
                    return
                yield value
    except (RuntimeError, ConnectionError, EOFError) as error:
        watchdog.wait = None
        cause = watchdog.why or (str(error).splitlines() or [type(error).__name__])[0]
        if "in DataLoader worker process" in cause:  # a mistake in what it ran
            raise
        stuck = stuck or (job.unfinished(values._workers) if values is not None else {})
        reading = ", ".join(list(dict.fromkeys(stuck.values()))[:3])
        raise WorkerLost(f"{cause}; it was reading {reading}" if reading else cause) from error
    finally:
        watchdog.wait = None
        if values is not None:
            for worker in stuck:
                worker.kill()  # asking one that hangs would take seconds
            values._shutdown_workers()  # now: an error may keep this frame
            kill()
        atexit.unregister(kill)
        if ours:
            signal.signal(signal.SIGCHLD, check)


_NO_MORE = object()


class _Watchdog:
    """A thread that calls `end` once, when a wait takes too long.

    A wait may be deaf to its own timeout: tensors are fetched from a socket, which a process that is stopped, or whose
    threads cannot run, never answers. Time is counted in looks, so that a machine that slept does not count as a hang.

    Args:
        end: ends the wait: it kills the processes.
        timeout: seconds that one wait may take.
        stop: holds something when a stop is asked for; then a wait may take PATIENCE at most.

    Attributes:
        wait: the number of the wait that goes on, None between waits; whoever waits sets it.
        why: why it ended a wait, empty if it did not.
    """

    def __init__(self, end: Callable[[], None], timeout: float, stop: Sequence[int]) -> None:
        self.end, self.timeout, self.stop = end, timeout, stop
        self.wait: int | None = None
        self.why = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog of data workers", daemon=True)

    def __enter__(self) -> _Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        seen, looks = None, 0
        while not self._closed.wait(TICK):
            looks = looks + 1 if self.wait is not None and self.wait == seen else 0
            seen = self.wait
            limit = min(self.timeout, PATIENCE) if self.stop else self.timeout
            if looks * TICK > limit:
                self.why = f"timed out after {limit:g} seconds"
                self.end()
                return


class _Job:
    """Runs `read` in a worker, and keeps a note of the file it is at where the parent can see it."""

    def __init__(self, read: Read, workers: int) -> None:
        self.read = read
        self.notes = [RawArray("c", 512) for _ in range(workers)]

    def __getitem__(self, number: int) -> Any:
        self._note("")
        value = self.read(number, self._note)
        self._note("")
        return value

    def _note(self, file: str) -> None:
        worker = get_worker_info()
        if worker is not None:
            self.notes[worker.id].value = file.encode(errors="replace")[-511:]

    def unfinished(self, workers: Sequence[Any]) -> dict[Any, str]:
        """The workers that died while they read, and what; if all live, those that read now."""
        reading = {w: note.value.decode(errors="replace") for w, note in zip(workers, self.notes, strict=True)}
        dead = {w: file for w, file in reading.items() if not w.is_alive()}
        return {w: file for w, file in (dead or reading).items() if file}


def _parent() -> int:
    """This process, if its workers can be made to die with it."""
    forks = sys.platform == "linux" and multiprocessing.get_start_method() == "fork"
    # the signal comes when the thread that forked ends, which only for the main thread is the end of the process
    return os.getpid() if forks and threading.current_thread() is threading.main_thread() else 0


def _begin(parent: int, worker: int) -> None:
    """A worker dies with its parent, and outlasts requests to stop: Ctrl-C, a terminal that is closed and a scheduler's
    SIGTERM reach every process, and the step is to be finished and saved. The second SIGTERM ends it."""
    if parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    requests: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if requests:
            os._exit(128 + number)
        requests.append(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, remember)
    sys.excepthook = _quiet_about_lost_contact


def _quiet_about_lost_contact(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """The thread that hands over tensors prints when its reader hung up, which is how losing another worker ends."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, where)
