"""What a server says of a file, what is remembered of it beside a part, and the request for the rest."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from i2i_forge.errors import DataError
from i2i_forge.system.fetch.web import ask
from i2i_forge.system.files import one_line, read_bytes, write_whole

AGAIN = "run the same command again: it goes on where it stopped"


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


def note_of(file: Path) -> Path:
    """Where it is remembered."""
    return file.with_name(f"{file.name}.json")


def recall(file: Path, url: str) -> Remote | None:
    """What `file` is a part of; None when that is unknown, or another address."""
    try:
        known = Remote(**json.loads(read_bytes(note_of(file))))
    except (OSError, ValueError, TypeError):
        return None
    return known if known.url == url and file.is_file() else None


def remember(file: Path, remote: Remote) -> None:
    """Write down what `file` is a part of."""
    write_whole(note_of(file), json.dumps(asdict(remote)))


def request(url: str, known: Remote | None, done: int, timeout: float) -> http.client.HTTPResponse:
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
        return ask(urllib.request.Request(url, headers=headers), timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and done:  # there are no such bytes: the file became shorter
            return request(url, None, 0, timeout)
        fix = "try again later, or get the data another way"
        raise DataError(f"{url}: the server answers {error.code} {one_line(str(error.reason))}", fix=fix) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise broken(url, error) from error


def described(url: str, answer: http.client.HTTPResponse) -> Remote:
    """What an answer says of the whole file."""
    header = answer.headers
    pattern, name = (r"bytes \d+-\d+/(\d{1,18})", "Content-Range") if answer.status == 206 else (
        r"(\d{1,18})", "Content-Length")  # fmt: skip
    size = re.fullmatch(pattern, header.get(name, ""))
    return Remote(url, header.get("ETag", ""), header.get("Last-Modified", ""), int(size[1]) if size else None)


def continues(answer: http.client.HTTPResponse, known: Remote | None, done: int) -> bool:
    """Whether an answer of status 206 holds the bytes from `done` on, of the known version."""
    at = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    return at and known is not None and known.is_same(described(known.url, answer))


def broken(url: str, error: Exception) -> DataError:
    """What to raise when a connection fails."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{url} cannot be read: {one_line(str(reason))}", fix=f"check the connection; {AGAIN}")
