"""Output that nobody takes (closed, full, a terminal or a reader that is gone) costs no command its work."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any, TextIO

import click

from i2i_forge.errors import ResourceError
from i2i_forge.system.files import printable


class _Raw(io.FileIO):
    """A file whose writes never fail; `lost` is given the reason of the first that would have."""

    def __init__(self, file: int, lost: list[OSError]) -> None:
        super().__init__(file, "w", closefd=False)
        self.lost = lost

    def write(self, data: Any) -> int:
        try:
            written: int | None = super().write(data)
            if written is None:  # a pipe that does not block is full
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        except OSError as error:
            if not self.lost:
                self.lost.append(error.with_traceback(None))
            return len(data)
        return written


class _Ascii(io.TextIOWrapper):
    """Hides its buffer, to which click writes UTF-8 where a stream's encoding is ASCII."""

    buffer = None  # type: ignore[assignment]


_lost: list[OSError] = []  # of stdout: one at most


def make_tolerant() -> None:
    """Let stdout and stderr take all that is written: what they cannot encode becomes an escape."""
    if sys.__stdin__ is None:  # closed: what is opened next must not take its number
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _tolerant(sys.stdout, _lost)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _tolerant(sys.stderr, [])


def require_result() -> None:
    """Raises ResourceError when some of what was written to stdout is lost, unless its reader had enough."""
    sys.stdout.flush()
    if _lost and not isinstance(_lost[0], BrokenPipeError):
        raise ResourceError(
            f"the result cannot be written to the standard output: {_lost[0].strerror}",
            fix="free disk space there, or let the output go elsewhere",
        )


def final_line(text: str) -> None:
    """A line on stdout after work whose result is files: it may get lost."""
    before = len(_lost)
    click.echo(printable(text))
    del _lost[before:]


def _tolerant(stream: TextIO | None, lost: list[OSError]) -> TextIO:
    if stream is None:  # closed: a file that is only read takes its number
        raw = _Raw(os.open(os.devnull, os.O_RDONLY), lost)
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    kind = _Ascii if codecs.lookup(stream.encoding).name == "ascii" else io.TextIOWrapper
    return kind(
        io.BufferedWriter(_Raw(stream.fileno(), lost)), stream.encoding, "backslashreplace",
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip
