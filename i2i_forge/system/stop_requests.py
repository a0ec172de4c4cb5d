"""Signals that ask a run to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop_signals() -> list[signal.Signals]:
    """Those that ask to stop; SIGHUP, which a closed terminal sends, unless it is ignored already (`nohup`)."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """The signals that asked to stop. The first lets the step finish; a second SIGINT stops at once."""
    requests: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if requests and number == signal.SIGINT:
            raise KeyboardInterrupt
        requests.append(number)

    before = {}
    try:
        for number in stop_signals():
            before[number] = signal.signal(number, remember)
    except ValueError:  # not the main thread: signals are the program's own business
        pass
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
