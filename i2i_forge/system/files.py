"""Files that may be a stranger's: written whole and through no link, read if they are regular and not too large."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

LONGEST_LINE = 16 * 1024**2  # bytes
LARGEST_TEXT = 256 * 1024**2  # bytes: what i2i_forge reads as a text at once
DIGITS = re.compile("([0-9]+)")
LARGEST_TENSORS = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # bytes: more tensors fit in no memory


def cache_dir() -> Path:
    """FORGE_CACHE, or `forge` in XDG_CACHE_HOME (~/.cache)."""
    if forge := os.environ.get("FORGE_CACHE"):
        return Path(forge)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forge"


@contextmanager
def made_whole(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Make a file or a folder so that it is there whole or as it was; a link in its place is replaced, never followed.

    Args:
        path: its place, in a folder that is there.
        shared: other processes may write it at the same time.

    Yields:
        Where to write it: .NAME.part beside it, where nothing is.

    Raises:
        OSError: the disk or the folder does not take it.
    """
    partial = path.with_name(f".{path.name}{f'.{os.urandom(4).hex()}' if shared else ''}.part")
    _remove(partial)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        _remove(partial)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file as `made_whole` does. Raises OSError when the disk or the folder does not take it."""
    with made_whole(file) as partial, partial.open("xb") as opened:  # no link that is put there meanwhile
        opened.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises OSError when it fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(opened: IO[Any] | int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed. False when another process holds it and we do not `wait`.

    Raises:
        OSError: the disk knows no locks, or fails.
    """
    try:
        fcntl.flock(opened, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_to_append(file: Path) -> IO[str]:
    """A text file, made if it is not there, to write at its end.

    Raises:
        OSError: it is a link or no regular file, or it cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(file, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and links are not followed here", str(file)) from None
        raise
    try:
        _regular(handle, file)
        return os.fdopen(handle, "a+", encoding="utf-8", errors="surrogateescape", newline="\n")
    except BaseException:
        os.close(handle)
        raise


def append_line(file: Path, line: str) -> None:
    """Add a line to a text file; what was cut off at its end before stays a line of its own.

    Raises:
        OSError: as `open_to_append`.
    """
    with open_to_append(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        is_cut = size > 0 and os.pread(opened.fileno(), 1, size - 1) != b"\n"
        opened.write("\n" * is_cut + line + "\n")


def lines_in(file: Path) -> Iterator[str]:
    """The lines of a text file of any size, as `lines_of` cuts them.

    Raises:
        OSError: as `descriptor`, or a line is longer than LONGEST_LINE, as of a file that is one hole.
    """
    with open_to_read(file) as opened:
        while line := opened.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise OSError(errno.EFBIG, f"a line of it has {LONGEST_LINE:,} bytes or more", str(file))
            yield line.removesuffix(b"\n").decode(errors="surrogateescape")


def lines_of(text: str) -> list[str]:
    """The lines of a text. A line feed ends one, and nothing else (`splitlines` cuts at U+2028 and others too)."""
    *whole, last = text.split("\n")
    return [*whole, last] if last else whole


def descriptor(file: Path, largest: int | None = None) -> int:
    """A regular file, or a link to one, open to be read; what is none is refused at once, where `open` might wait.

    Args:
        file: what to open.
        largest: bytes that it may have.

    Raises:
        OSError: it is not there, is no regular file (a pipe, a device, a folder), or is larger.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = _regular(handle, file)
        if largest is not None and size > largest:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {largest:,} are read", str(file))
    except BaseException:
        os.close(handle)
        raise
    return handle


def open_to_read(file: Path, largest: int | None = None) -> io.BufferedReader:
    """As `descriptor`, as a file."""
    return os.fdopen(descriptor(file, largest), "rb")


def read_bytes(file: Path, largest: int = LARGEST_TEXT) -> bytes:
    """The content of a file. Arguments and errors are those of `descriptor`."""
    with open_to_read(file, largest) as opened:
        return opened.read(os.fstat(opened.fileno()).st_size)  # not what is appended meanwhile


def read_text(file: Path, largest: int = LARGEST_TEXT) -> str:
    """As `read_bytes`, as a text; bytes that are not UTF-8 are kept as surrogates."""
    return read_bytes(file, largest).decode(errors="surrogateescape")


def read_record(file: Path) -> dict[str, Any]:
    """The object in a small JSON file of ours; {} when it is not there, or damaged."""
    try:
        return dict(json.loads(read_bytes(file)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def sha256_of(file: Path, largest: int | None = None) -> str:
    """The SHA-256 of a file. Arguments and errors are those of `descriptor`."""
    with open_to_read(file, largest) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def natural_key(name: str | Path) -> str:
    """What to sort names by so that 2 comes before 10: each number is written as its length and its digits.

    NUL, which no name has, stands before a number, so that a number comes before any letter. What differs only in
    leading zeros is in plain order.
    """
    parts = DIGITS.split(str(name))
    for place in range(1, len(parts), 2):
        digits = parts[place].lstrip("0")
        parts[place] = f"\0{chr(len(digits) + 1)}{digits}"
    return f"{''.join(parts)}\0\0{name}"


def printable(text: str) -> str:
    r"""Text of a file, a name or a server, safe to print and to log: what is not printable becomes an escape (`\x1b`).

    Line breaks and tabs stay.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape", "backslashreplace").decode()
                   for c in text)  # fmt: skip


def one_line(text: str) -> str:
    """As `printable`, with line breaks and tabs as escapes too: for names, which may hold anything."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def _regular(handle: int, file: Path) -> int:
    """The size of an open file, which must be a regular one."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(file))
    return found.st_size


def warn(text: str) -> None:
    """Say on stderr what a user of a run must know."""
    sys.stderr.write(printable(f"warning: {text}\n"))
