"""A thread that ends a wait for processes which have nothing to say any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

TICK = 0.25  # seconds between two looks
PATIENCE = 10.0  # seconds that a wait may take once a stop is asked for


class Watchdog:
    """Calls `end` once, when a wait takes too long.

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

    def __enter__(self) -> Watchdog:
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
