"""One file from the web: taken up where it was interrupted, counted, hashed.

FILE grows in place; FILE.json says what it is a part of (address, ETag, Last-Modified, size), so that a part of a file
that has changed since is never continued. What a server says of its file is compared with what it sends.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from i2i_forge import errors
from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.system.fetch.web import ask
from i2i_forge.system.files import one_line, read_record, sha256_of, take_lock, write_whole

CHUNK = 1 << 18
LARGEST = 1 << 36  # bytes
TIMEOUT = 60.0  # seconds without a byte
AGAIN = "run the same command again: it goes on where it stopped"
ELSEWHERE = "look for a newer version of i2i_forge, or get the data another way"
Progress = Callable[[int, int | None], None]  # bytes there, bytes in all or None
disk_error = partial(errors.disk_error, full=f"free disk space; {AGAIN}")


def download(
    url: str,
    file: Path,
    *,
    size: int | None = None,
    largest: int = LARGEST,
    sha256: str = "",
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Bring `file` to completion; returns {"url", "bytes", "sha256"}.

    Args:
        url: http or https.
        file: may hold a part already; its folder exists. It is kept when the transfer breaks off.
        size, sha256: what the whole file must have, where that is known; of SHA-256, its first digits are enough.
        largest: bytes that it may have; what comes is given up there.

    Raises:
        DataError: the server cannot be reached, does not have the file, or broke off; the file is not the expected one.
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE forbids it; the file cannot be written.
    """
    known = _recall(file, url)
    if known is None or file.stat().st_size != known.size:
        if offline():
            raise UsageError(f"{url} is not downloaded: FORGE_OFFLINE is set", fix="unset it, or copy the data here")
        try:
            _receive(url, file, known, size, largest, progress)
        except OSError as error:  # those of the network are DataErrors by now
            raise disk_error(file, error) from error
    found, length = sha256_of(file), file.stat().st_size
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
        if not take_lock(file):
            raise UsageError(f"{part}: another process is downloading it", fix="wait for that one")
        try:
            yield part
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def note_of(file: Path) -> Path:
    """Where it is written what a file is, or is a part of."""
    return file.with_name(f"{file.name}.json")


def forget(file: Path) -> None:
    """Remove a download and what is remembered of it."""
    file.unlink(missing_ok=True)
    note_of(file).unlink(missing_ok=True)


@dataclass(frozen=True)
class Remote:
    """A version of a file on a server; "" and None stand for what it does not say."""

    url: str
    etag: str
    modified: str
    size: int | None

    def is_same(self, other: Remote) -> bool:
        """Whether nothing that is stated differs, and something that identifies a version is stated."""
        mine, theirs = asdict(self), asdict(other)
        stated = [key for key in mine if mine[key] and theirs[key]]
        return len(stated) > 1 and all(mine[key] == theirs[key] for key in stated)


def _recall(file: Path, url: str) -> Remote | None:
    """What `file` is a part of; None when that is unknown, or another address."""
    try:
        known = Remote(**read_record(note_of(file)))
    except TypeError:
        return None
    return known if known.url == url and file.is_file() else None


def _remember(file: Path, remote: Remote) -> None:
    write_whole(note_of(file), json.dumps(asdict(remote)))


def _receive(url: str, file: Path, known: Remote | None, size: int | None, largest: int, progress: Progress) -> None:
    done = file.stat().st_size if known else 0
    with _request(url, known, done) as answer:
        remote, goes_on = _described(url, answer), answer.status == 206
        if goes_on and not _continues(answer, known, done):
            forget(file)  # a part of another version, and this answer is not the beginning of the new one
            _receive(url, file, None, size, largest, progress)
            return
        if goes_on and known and remote.size is None:
            remote = replace(remote, size=known.size)
        if size and remote.size and remote.size != size:
            cause = f"{url} has {remote.size:,} bytes instead of {size:,}: it is not the expected file"
            raise DataError(cause, fix=ELSEWHERE)
        if (remote.size or 0) > largest:
            raise _too_large(url, file, largest)
        done = done if goes_on else 0
        _need_room(file, remote.size, done)
        done = _append(file, done, remote, _chunks(url, answer), progress, largest)
    if remote.size is None:  # no size was told: the end of a well-formed answer is the end
        _remember(file, replace(remote, size=done))
    elif done != remote.size:
        raise DataError(f"{url}: the connection ended after {done:,} of {remote.size:,} bytes", fix=AGAIN)


def _request(url: str, known: Remote | None, done: int) -> http.client.HTTPResponse:
    """Ask for a file, or for what follows its first `done` bytes if it is still the known version.

    Raises:
        DataError: no connection, or the server does not have it.
    """
    headers = {"User-Agent": "i2i_forge", "Accept-Encoding": "identity"}
    if known and done:
        headers["Range"] = f"bytes={done}-"
        # a weak ETag must not be used for ranges (RFC 9110, section 13.1.5)
        if validator := known.modified if known.etag.startswith("W/") else known.etag or known.modified:
            headers["If-Range"] = validator
    try:
        return ask(urllib.request.Request(url, headers=headers), TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # there are no such bytes: the file became shorter
            return _request(url, None, 0)
        fix = "try again later, or get the data another way"
        raise DataError(f"{url}: the server answers {error.code} {one_line(str(error.reason))}", fix=fix) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _broken(url, error) from error


def _described(url: str, answer: http.client.HTTPResponse) -> Remote:
    """What an answer says of the whole file."""
    header = answer.headers
    pattern, name = (r"bytes \d+-\d+/(\d{1,18})", "Content-Range") if answer.status == 206 else (
        r"(\d{1,18})", "Content-Length")  # fmt: skip
    size = re.fullmatch(pattern, header.get(name, ""))
    return Remote(url, header.get("ETag", ""), header.get("Last-Modified", ""), int(size[1]) if size else None)


def _continues(answer: http.client.HTTPResponse, known: Remote | None, done: int) -> bool:
    """Whether an answer of status 206 holds the bytes from `done` on, of the known version."""
    at = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    return at and known is not None and known.is_same(_described(known.url, answer))


def _chunks(url: str, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read1(CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, error) from error


def _append(file: Path, done: int, remote: Remote, chunks: Iterator[bytes], progress: Progress, largest: int) -> int:
    """Write chunks behind the first `done` bytes; returns how many bytes there are then."""
    with file.open("r+b" if file.exists() else "wb") as handle:
        handle.truncate(done)
        handle.seek(done)
        _remember(file, remote)  # only now: what was there of another version is gone
        for chunk in chunks:
            done += len(chunk)
            if done > largest:
                raise _too_large(remote.url, file, largest)
            handle.write(chunk)
            progress(done, remote.size)
    return done


def _broken(url: str, error: Exception) -> DataError:
    """What to raise when a connection fails."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{url} cannot be read: {one_line(str(reason))}", fix=f"check the connection; {AGAIN}")


def _too_large(url: str, file: Path, largest: int) -> DataError:
    forget(file)
    return DataError(f"{url} has more than {largest:,} bytes: it is not the expected file", fix=ELSEWHERE)


def _need_room(file: Path, size: int | None, done: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if size is not None and size - done > free:
        raise ResourceError(
            f"{file}: {(size - done) / 1e9:.1f} GB are still to come, the disk has {free / 1e9:.1f} GB",
            fix=f"free disk space, or choose another folder; {AGAIN}",
        )
