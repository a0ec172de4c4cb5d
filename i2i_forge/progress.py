"""What a run tells whoever waits for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

log = logging.getLogger("i2i_forge")


class Progress(Protocol):
    """Shows a run to whoever waits for it."""

    def start(self, done: int, steps: int) -> None: ...
    def step(self, done: int, entry: Mapping[str, Any] | None) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


class Shown:
    """Passes on what happens. A progress that fails is set aside: it must not cost the run."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress

    def __call__(self, event: str, *arguments: Any) -> None:
        """Call a method of the progress."""
        if self.progress is None:
            return
        try:
            getattr(self.progress, event)(*arguments)
        except Exception as error:
            self.progress = None
            log.warning("nothing more is shown: %s: %s", type(error).__name__, error)
