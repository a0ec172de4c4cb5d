"""One file from the web: taken up where it was interrupted, counted, hashed.

FILE grows in place; FILE.json says what it is a part of (address, ETag, Last-Modified, size), so that a part of a file
that has changed since is never continued. What a server says of its file is compared with what it sends.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from i2i_forge import errors
from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.system.fetch.remote import (
    AGAIN,
    Remote,
    broken,
    continues,
    described,
    note_of,
    recall,
    remember,
    request,
)

CHUNK = 1 << 18
LARGEST = 1 << 36  # bytes
Progress = Callable[[int, int | None], None]  # bytes there, bytes in all or None
disk_error = partial(errors.disk_error, full=f"free disk space; {AGAIN}")


def download(
    url: str,
    file: Path,
    *,
    size: int | None = None,
    largest: int = LARGEST,
    sha256: str = "",
    timeout: float = 60.0,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Bring `file` to completion; returns {"url", "bytes", "sha256"}.

    Args:
        url: http or https.
        file: may hold a part already; its folder exists. It is kept when the transfer breaks off.
        size, sha256: what the whole file must have, where that is known; of SHA-256, its first digits are enough.
        largest: bytes that it may have; what comes is given up there.
        timeout: seconds without a byte.

    Raises:
        DataError: the server cannot be reached, does not have the file, or broke off; the file is not the expected one.
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE forbids it; the file cannot be written.
    """
    known = recall(file, url)
    if known is None or file.stat().st_size != known.size:
        if offline():
            raise UsageError(f"{url} is not downloaded: FORGE_OFFLINE is set", fix="unset it, or copy the data here")
        try:
            _receive(url, file, known, size, largest, timeout, progress)
        except OSError as error:  # those of the network are DataErrors by now
            raise disk_error(file, error) from error
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    length = file.stat().st_size
    for what, expected, got in (("bytes", size, length), ("SHA-256", sha256.lower(), found[: len(sha256)])):
        if expected and expected != got:
            forget(file)
            raise DataError(
                f"{url} is not the expected file: {what} {got} instead of {expected}",
                fix="run the same command again; if it stays so, the file was exchanged: do not use it",
            )
    return {"url": url, "bytes": length, "sha256": found}


def offline() -> bool:
    """Whether FORGE_OFFLINE forbids the network."""
    return os.environ.get("FORGE_OFFLINE", "") not in ("", "0")


@contextmanager
def locked(part: Path) -> Iterator[Path]:
    """Hold a download for this process. Raises UsageError when another one does."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{part}: another process is downloading it", fix="wait for that one") from None
        try:
            yield part
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def forget(file: Path) -> None:
    """Remove a download and what is remembered of it."""
    file.unlink(missing_ok=True)
    note_of(file).unlink(missing_ok=True)


def _receive(
    url: str, file: Path, known: Remote | None, size: int | None, largest: int, timeout: float, progress: Progress
) -> None:
    done = file.stat().st_size if known else 0
    with request(url, known, done, timeout) as answer:
        remote, goes_on = described(url, answer), answer.status == 206
        if goes_on and not continues(answer, known, done):
            forget(file)  # a part of another version, and this answer is not the beginning of the new one
            _receive(url, file, None, size, largest, timeout, progress)
            return
        if goes_on and known and remote.size is None:
            remote = replace(remote, size=known.size)
        if size and remote.size and remote.size != size:
            raise DataError(
                f"{url} has {remote.size:,} bytes instead of {size:,}: it is not the expected file",
                fix="look for a newer version of i2i_forge, or get the data another way",
            )
        if (remote.size or 0) > largest:
            raise _too_large(url, file, largest)
        done = done if goes_on else 0
        _need_room(file, remote.size, done)
        done = _append(file, done, remote, _chunks(url, answer), progress, largest)
    if remote.size is None:  # no size was told: the end of a well-formed answer is the end
        remember(file, replace(remote, size=done))
    elif done != remote.size:
        raise DataError(f"{url}: the connection ended after {done:,} of {remote.size:,} bytes", fix=AGAIN)


def _append(file: Path, done: int, remote: Remote, chunks: Iterator[bytes], progress: Progress, largest: int) -> int:
    """Write chunks behind the first `done` bytes; returns how many bytes there are then."""
    with file.open("r+b" if file.exists() else "wb") as handle:
        handle.truncate(done)
        handle.seek(done)
        remember(file, remote)  # only now: what was there of another version is gone
        for chunk in chunks:
            done += len(chunk)
            if done > largest:
                raise _too_large(remote.url, file, largest)
            handle.write(chunk)
            progress(done, remote.size)
    return done


def _chunks(url: str, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read1(CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise broken(url, error) from error


def _too_large(url: str, file: Path, largest: int) -> DataError:
    forget(file)
    return DataError(
        f"{url} has more than {largest:,} bytes: it is not the expected file",
        fix="look for a newer version of i2i_forge, or get the data another way",
    )


def _need_room(file: Path, size: int | None, done: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if size is not None and size - done > free:
        raise ResourceError(
            f"{file}: {(size - done) / 1e9:.1f} GB are still to come, the disk has {free / 1e9:.1f} GB",
            fix=f"free disk space, or choose another folder; {AGAIN}",
        )
