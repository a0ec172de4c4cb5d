"""One file of a store to the disk, tried again when the network fails.

http and https are our own download, which goes on where it stopped. Addresses of other stores are opened by the package
`webdataset`, which calls the store's own program. Its "pipe:" and "file:" are never passed on: a recipe is not trusted
to name commands.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

from i2i_forge.errors import DataError, ForgeError, UsageError
from i2i_forge.system.fetch import disk_error, download, forget, note_of, offline

from .addresses import WEB, Shard, opener_of_stores, scheme

log = logging.getLogger("i2i_forge")

TRIES, PAUSE = 5, 1.0  # the pause in seconds before the second try; doubled before each further one
CHUNK = 1 << 20
FIX = "check the connection and the address; the same command goes on where it stopped"


class Exchanged(DataError):
    """The store has another file than the one that is known."""


def fetch(wanted: Shard, file: Path, *, accept: Callable[[Path], bool] = lambda part: True) -> bool:
    """Bring a file to its place, whole; what there is of it before lies in FILE.part. The caller holds a lock.

    Args:
        wanted: of an address that `expand` gave; any file may be fetched, not only a shard.
        accept: looks at what came. What it does not accept is not kept, and False is returned.

    Raises:
        DataError: the store does not have it, cannot be reached, or has another file (Exchanged).
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE forbids it.
    """
    part = file.with_suffix(".part")
    try:
        _bring(wanted, part)
        if not accept(part):
            forget(part)
            return False
        note_of(part).unlink(missing_ok=True)
        part.replace(file)
    except OSError as error:
        raise disk_error(file, error) from error
    return True


def is_missing(error: ForgeError) -> bool:
    """Whether the store said that it does not have the file. A refusal or a broken connection says nothing of it."""
    cause = error.__cause__
    return isinstance(cause, FileNotFoundError) or (
        isinstance(cause, urllib.error.HTTPError) and cause.code in (404, 410)
    )


def _bring(wanted: Shard, part: Path) -> None:
    is_web = scheme(wanted.address) in WEB
    for attempt in range(1, TRIES + 1):
        try:
            if is_web:
                download(wanted.address, part, size=wanted.size, sha256=wanted.sha256)
            else:
                _from_store(wanted, part)
            return
        except DataError as error:
            if is_web and error.__cause__ is None and not part.exists():
                raise Exchanged(error.message, fix=error.fix) from error
            if not _may_pass(error, part):
                raise
            last = error
        if attempt < TRIES:
            log.warning("%s; try %d of %d follows", last.message, attempt + 1, TRIES)
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise DataError(f"{last.message} ({TRIES} tries)", fix=FIX) from last


def _may_pass(error: DataError, part: Path) -> bool:
    cause = error.__cause__
    if is_missing(error):
        return False
    if isinstance(cause, urllib.error.HTTPError):
        return cause.code >= 500 or cause.code in (408, 425, 429)
    return isinstance(cause, (OSError, http.client.HTTPException)) or part.exists()  # a part: the connection ended


def _from_store(wanted: Shard, part: Path) -> None:
    if offline():
        cause = f"{wanted.address} is not fetched: FORGE_OFFLINE is set"
        raise UsageError(cause, fix="unset it, or copy the data here")
    digest = hashlib.sha256()
    try:
        with part.open("wb") as target:
            for piece in _pieces(wanted.address):
                digest.update(piece)
                target.write(piece)
    except DataError:
        part.unlink()
        raise
    size, sha256 = part.stat().st_size, digest.hexdigest()
    if wanted.size not in (None, size) or wanted.sha256 not in ("", sha256):
        part.unlink()
        raise Exchanged(
            f"{wanted.address} is not the expected file: {size:,} bytes, SHA-256 {sha256[:12]}",
            fix="upload the pack again",
        )


def _pieces(address: str) -> Iterator[bytes]:
    package = opener_of_stores(address)
    try:
        with package.gopen(address, "rb") as source:
            while piece := source.read(CHUNK):
                yield piece
    except ValueError as error:
        fix = "use an https address of it; s3:// goes through AIStore if USE_AIS_FOR=s3 is set"
        raise DataError(f"{address}: webdataset does not open it: {error}", fix=fix) from error
    except Exception as error:  # each store's program fails in its own way
        cause = error if isinstance(error, FileNotFoundError) else OSError(str(error))
        raise DataError(f"{address} cannot be read: {str(error)[:300]}", fix=FIX) from cause
