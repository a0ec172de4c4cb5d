"""What shows or decorates a run and fails: 88."""

import errno
import io
import os

import click
import pytest

from i2i_forge import hookimpl
from i2i_forge.catalog.loading import Host
from i2i_forge.cli.output import _tolerant
from i2i_forge.errors import DataError, UsageError
from i2i_forge.run.log import SafeDisplay


def full():
    return os.open("/dev/full", os.O_WRONLY)


def without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def gone_terminal():
    terminal, line = os.openpty()
    os.close(terminal)
    return line


def stuck_pipe():
    """Nobody reads, and it does not block."""
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    return writer


@pytest.mark.parametrize(
    ("opened", "reason"),
    [(full, errno.ENOSPC), (without_reader, errno.EPIPE), (gone_terminal, errno.EIO), (stuck_pipe, errno.EAGAIN)],
)
def test_88_a_stream_takes_what_nobody_takes(opened, reason):
    lost = []
    with io.TextIOWrapper(io.FileIO(opened(), "w"), encoding="utf-8") as file:
        stream = _tolerant(file, lost)
        for _ in range(100):
            print("x" * 1000, file=stream, flush=True)
    assert lost[0].errno == reason


def test_88_a_closed_stream():
    lost = []
    print("x", file=_tolerant(None, lost))
    assert lost[0].errno == errno.EBADF


def test_88_what_an_encoding_lacks_becomes_an_escape(tmp_path):
    """Of click too, which would write UTF-8 to a stream of ASCII."""
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        stream = _tolerant(file, [])
        print("für", file=stream)
        click.echo("鞋 \udcff", file=stream)
    assert (tmp_path / "out").read_bytes() == b"f\\xfcr\n\\u978b \\udcff\n"


def closed():
    for number in (0, 1, 2):
        os.close(number)


def full_and_gone():
    os.dup2(full(), 1)
    os.dup2(gone_terminal(), 2)


@pytest.mark.parametrize("streams", [closed, full_and_gone])
def test_88_a_run_needs_nobody_who_watches(forge_watch, straight, tmp_path, streams):
    command = forge_watch.subject.command(tmp_path / "run", steps=2)
    assert forge_watch.end(forge_watch.start(command, preexec_fn=streams)).code == 0
    forge_watch.same_weights(tmp_path / "run", straight(steps=2))


@pytest.mark.parametrize(
    ("streams", "reason"), [(lambda: os.dup2(full(), 1), errno.ENOSPC), (lambda: os.close(1), errno.EBADF)],
    ids=["full", "closed"],
)  # fmt: skip
def test_88_a_result_that_is_lost_is_an_error(forge_watch, streams, reason):
    ended = forge_watch.call("recipes", "--json", preexec_fn=streams, anew=True)
    ended.refused(8, "the result cannot be written to the standard output", os.strerror(reason))


def test_88_a_reader_may_have_enough(forge_watch):
    ended = forge_watch.call("recipes", "--json", preexec_fn=lambda: os.dup2(without_reader(), 1), anew=True)
    assert (ended.code, ended.err) == (0, "")


NO_PICTURES = """
from PIL import Image
def full(*arguments, **options):
    raise OSError(28, 'No space left on device')
Image.Image.save = full
"""


def test_88_samples_that_cannot_be_written(forge_watch, straight, tmp_path):
    ended = forge_watch.goes_on(tmp_path / "run", straight, steps=2, inject=NO_PICTURES)
    assert ended.err.count("plugin 'sample_grids' failed in run_started and is not called again") == 1


@pytest.mark.parametrize("error", [UsageError("a"), DataError("b"), OSError("c"), SystemExit("d")], ids=type)
def test_88_an_observer_may_raise_anything_once(error):
    class Observer:
        @hookimpl
        def run_started(self, step):
            raise error

    host = Host([])
    host.manager.register(Observer(), "observer")
    assert host.call("run_started", run=None, step=0) == [("observer", error)]
    assert host.call("run_started", run=None, step=0) == []


def test_88_a_progress_that_fails_is_set_aside():
    called = []

    class Broken:
        def note(self, text):
            called.append(text)
            raise OSError(errno.EIO, "Input/output error")

    show = SafeDisplay(Broken())
    show("note", "first")
    show("note", "second")
    assert called == ["first"]
