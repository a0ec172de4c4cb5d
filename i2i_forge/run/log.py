"""What a run tells: its log file, and a display for whoever waits."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from i2i_forge.errors import ForgeError
from i2i_forge.system.files import open_to_append, printable

log = logging.getLogger("i2i_forge")


class _LogFile(logging.StreamHandler[IO[str]]):
    """A log file that costs no run: what cannot be written is missing there, and said once on stderr."""

    failed = False

    def __init__(self, file: Path) -> None:
        super().__init__(open_to_append(file))
        self.file = file

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.failed:
            self.failed = True
            with suppress(AttributeError, OSError, ValueError):  # stderr is closed, full or gone
                sys.stderr.write(f"{self.file} cannot be written; the run goes on without it\n")

    def close(self) -> None:
        with suppress(OSError):
            self.stream.close()
        super().close()


class _OneRecord(logging.Formatter):
    """Further lines of a record are indented, so that no text from elsewhere looks like a record, or is a command."""

    def format(self, record: logging.LogRecord) -> str:
        """As that of any formatter."""
        return printable(super().format(record)).replace("\n", "\n    ")


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """What is logged inside, and how it ended, is appended to a file."""
    handler = _LogFile(file)
    handler.setFormatter(_OneRecord("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    except ForgeError as error:
        log.error("%s", error)
        raise
    except BaseException:
        log.exception("the run failed")
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()


class Display(Protocol):
    """Shows a run to whoever waits for it."""

    def start(self, done: int, steps: int) -> None: ...
    def foresee(self, done: int, seconds_per_step: float) -> None: ...
    def step(self, done: int, entry: Mapping[str, Any] | None) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


class SafeDisplay:
    """Passes on what happens. A display that fails is set aside: it must not cost the run."""

    def __init__(self, display: Display | None) -> None:
        self.display = display

    def __call__(self, event: str, *arguments: Any) -> None:
        """Call a method of the display, if it has it."""
        if not hasattr(self.display, event):
            return
        try:
            getattr(self.display, event)(*arguments)
        except Exception as error:
            self.display = None
            log.warning("nothing more is shown: %s: %s", type(error).__name__, error)
