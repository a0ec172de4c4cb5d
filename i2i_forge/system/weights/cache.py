"""Files of weights in the user's cache: how they get there, and whether they are what they should be.

Beside FILE lies FILE.json: the address it came from, bytes, SHA-256 and date. A copy that somebody put there by hand
has no such record, and is compared with the manifest only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from i2i_forge.errors import DataError, UsageError
from i2i_forge.system.fetch.download import Progress, disk_error, download, forget, locked, offline
from i2i_forge.system.files import open_to_read, read_bytes
from i2i_forge.system.paths import cache_dir
from i2i_forge.system.weights.manifest import Weights, find


@dataclass(frozen=True)
class Found:
    """What is in the place of a file of weights.

    Attributes:
        path: the place.
        status: "wrong" for a file that differs from the manifest or from its record, or that cannot be read.
        problem: why it is not "ok", naming the path.
        sha256: of the file that is there.
        record: what was written down when it was fetched.
    """

    path: Path
    status: Literal["ok", "missing", "wrong"]
    problem: str = ""
    sha256: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


def path_of(entry: Weights) -> Path:
    """Where its file is, or would be."""
    return cache_dir() / "weights" / entry.file


def inspect(entry: Weights) -> Found:
    """Look at its file. The whole of it is read and hashed, every time."""
    path = path_of(entry)
    if not path.is_file():
        return Found(path, "missing", f"{path} does not exist")
    try:
        with open_to_read(path, entry.largest) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Found(path, "wrong", f"{path} cannot be read: {error.strerror or error}")
    if not sha256.startswith(entry.sha256):
        begins = f"SHA-256 {sha256[: len(entry.sha256)]}... instead of {entry.sha256}..."
        return Found(path, "wrong", f"{path} is not the published file: {begins}", sha256)
    record = _recorded(path)
    if sha256 != record.get("sha256", sha256):
        return Found(path, "wrong", f"{path} is not the file that was fetched: it has changed since", sha256)
    return Found(path, "ok", sha256=sha256, record=record)


def required(name: str, *, by: str = "this") -> Path:
    """The file of an entry of the manifest, verified as `inspect` does it.

    Args:
        name: of the entry.
        by: who needs it, for the message: "lpips".

    Raises:
        DataError: the file is not there, or it is another one.
        UsageError: there is no such entry.
    """
    entry = find(name)
    found = inspect(entry)
    if found.status != "ok":
        raise DataError(f"{by} needs the weights of {name} ({entry.about}), and {found.problem}", fix=how_to_get(entry))
    return found.path


def how_to_get(entry: Weights) -> str:
    """The next step of somebody who has not got it."""
    command = f"forge weights get {entry.name}"
    if offline():
        return f"unset FORGE_OFFLINE for `{command}`, or copy {address(entry)} to {path_of(entry)}"
    return command


def fetch(entry: Weights, *, timeout: float = 60.0, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Download its file, and return the record of it; a file that is there is replaced when the new one is whole.

    It grows in FILE.part, which the next call goes on with if this one breaks off.

    Raises:
        DataError: it cannot be downloaded, or is not the published file.
        ResourceError: the disk is full.
        UsageError: FORGE_OFFLINE is set; the cache cannot be written; another process does the same.
    """
    path = path_of(entry)
    if offline():
        raise UsageError(f"{path} is not fetched: FORGE_OFFLINE is set", fix=how_to_get(entry))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.part")) as part:
            record = download(
                address(entry), part, largest=entry.largest, sha256=entry.sha256, timeout=timeout, progress=progress
            )
            record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            _record_of(path).write_text(json.dumps(record, indent=2) + "\n")
            part.replace(path)
            forget(part)
    except OSError as error:
        raise disk_error(path, error) from error
    return record


def address(entry: Weights) -> str:
    """Where it is fetched from: its publisher, or the mirror FORGE_WEIGHTS_URL, which has all files in one folder."""
    mirror = os.environ.get("FORGE_WEIGHTS_URL", "")
    if not mirror:
        return entry.url
    if not mirror.startswith(("http://", "https://")):
        raise UsageError(f"FORGE_WEIGHTS_URL is '{mirror}'", fix="give the http or https address of a folder")
    return f"{mirror.rstrip('/')}/{entry.file}"


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _recorded(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(read_bytes(_record_of(path))))
    except (OSError, ValueError, TypeError):
        return {}
