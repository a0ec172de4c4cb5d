"""One file of a store to the disk, tried again when the network fails.

http and https are our own download, which goes on where it stopped. Addresses of other stores are opened by the package
`webdataset`, which calls the store's own program. Its "pipe:" and "file:" are never passed on: a recipe is not trusted
to name commands.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib
import logging
import re
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2i_forge.errors import DataError, ForgeError, UsageError
from i2i_forge.system.fetch.download import disk_error, download, forget, offline
from i2i_forge.system.fetch.remote import note_of

from .patterns import WEB, scheme

log = logging.getLogger("i2i_forge")

STORES = ("ais", "ftps", "gs", "hf", "s3", "scp", "sftp")
TRIES, PAUSE = 5, 1.0  # the pause in seconds before the second try; doubled before each further one
CHUNK = 1 << 20
FIX = "check the connection and the address; the same command goes on where it stopped"


class Exchanged(DataError):
    """The store has another file than the one that is known."""


def need_scheme(address: str) -> None:
    """Raises DataError for an address that nobody opens, or that needs a package which is not there."""
    kind = scheme(address)
    if kind and kind not in (*WEB, *STORES):
        raise DataError(f"{address}: there is no '{kind}:'", fix=f"use a path, or {', '.join((*WEB, *STORES))}")
    if re.search(r"[\x00-\x20\x7f]", address) and kind:
        raise DataError(f"{address!r} is no address: it has spaces or control characters", fix="write %20 for a space")
    if kind in STORES:
        _webdataset(address)


def fetch(
    address: str,
    file: Path,
    *,
    size: int | None = None,
    sha256: str = "",
    accept: Callable[[Path], bool] = lambda part: True,
) -> bool:
    """Bring a file to its place, whole; what there is of it before lies in FILE.part. The caller holds a lock.

    Args:
        address, size, sha256: as of `bring`.
        accept: looks at what came. What it does not accept is not kept, and False is returned.

    Raises:
        as `bring`.
    """
    part = file.with_suffix(".part")
    try:
        bring(address, part, size=size, sha256=sha256)
        if not accept(part):
            forget(part)
            return False
        note_of(part).unlink(missing_ok=True)
        part.replace(file)
    except OSError as error:
        raise disk_error(file, error) from error
    return True


def bring(address: str, file: Path, *, size: int | None = None, sha256: str = "") -> dict[str, Any]:
    """Bring `file` to completion; returns {"bytes", "sha256"}.

    Args:
        address: http, https, or one of STORES.
        file: may hold a part already.
        size, sha256: what it must have, where that is known.

    Raises:
        DataError: the store does not have it, cannot be reached, or has another file (Exchanged).
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE forbids it.
    """
    for attempt in range(1, TRIES + 1):
        try:
            if scheme(address) in WEB:
                return download(address, file, size=size, sha256=sha256)
            return _from_store(address, file, size, sha256)
        except DataError as error:
            if scheme(address) in WEB and error.__cause__ is None and not file.exists():
                raise Exchanged(error.message, fix=error.fix) from error
            if not _may_pass(error, file):
                raise
            last = error
        if attempt < TRIES:
            log.warning("%s; try %d of %d follows", last.message, attempt + 1, TRIES)
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise DataError(f"{last.message} ({TRIES} tries)", fix=FIX) from last


def is_missing(error: ForgeError) -> bool:
    """Whether the store said that it does not have the file. A refusal or a broken connection says nothing of it."""
    cause = error.__cause__
    return isinstance(cause, FileNotFoundError) or (
        isinstance(cause, urllib.error.HTTPError) and cause.code in (404, 410)
    )


def _may_pass(error: DataError, file: Path) -> bool:
    cause = error.__cause__
    if is_missing(error):
        return False
    if isinstance(cause, urllib.error.HTTPError):
        return cause.code >= 500 or cause.code in (408, 425, 429)
    return isinstance(cause, (OSError, http.client.HTTPException)) or file.exists()  # a part: the connection ended


def _from_store(address: str, file: Path, size: int | None, sha256: str) -> dict[str, Any]:
    if offline():
        raise UsageError(f"{address} is not fetched: FORGE_OFFLINE is set", fix="unset it, or copy the data here")
    package, digest, done = _webdataset(address), hashlib.sha256(), 0
    try:
        target = file.open("wb")
    except OSError as error:
        raise disk_error(file, error) from error
    try:
        with target, package.gopen(address, "rb") as source:
            while piece := source.read(CHUNK):
                digest.update(piece)
                _write(target, piece, file)
                done += len(piece)
    except ForgeError:
        raise
    except ValueError as error:
        file.unlink()
        fix = "use an https address of it; s3:// goes through AIStore if USE_AIS_FOR=s3 is set"
        raise DataError(f"{address}: webdataset does not open it: {error}", fix=fix) from error
    except Exception as error:  # each store's program fails in its own way
        file.unlink(missing_ok=True)
        cause = error if isinstance(error, FileNotFoundError) else OSError(str(error))
        raise DataError(f"{address} cannot be read: {str(error)[:300]}", fix=FIX) from cause
    found = digest.hexdigest()
    if (size is not None and size != done) or (sha256 and sha256 != found):
        file.unlink(missing_ok=True)
        raise Exchanged(
            f"{address} is not the expected file: {done:,} bytes, SHA-256 {found[:12]}", fix="upload the pack again"
        )
    return {"url": address, "bytes": done, "sha256": found}


def _write(target: Any, piece: bytes, file: Path) -> None:
    try:
        target.write(piece)
    except OSError as error:
        raise disk_error(file, error) from error


def _webdataset(address: str) -> Any:
    try:
        return importlib.import_module("webdataset")
    except ImportError:
        cause = f"{address}: '{scheme(address)}:' needs webdataset, which is not installed"
        raise DataError(cause, fix="pip install 'i2i-forge[webdataset]'") from None
