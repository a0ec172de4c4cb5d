"""A public data set, from the web to a folder that is there whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from i2i_forge.data.public.inventory import INVENTORY, damaged, write_inventory
from i2i_forge.data.public.table import PublicData
from i2i_forge.errors import DataError, UsageError
from i2i_forge.system.fetch.archive import Limits, extract
from i2i_forge.system.fetch.download import Progress, disk_error, download, forget, locked
from i2i_forge.system.files import read_bytes

RECORD = ".forge-download.json"


@dataclass(frozen=True)
class Fetched:
    """A data set that is there.

    Attributes:
        folder: where it is.
        record: url, bytes, sha256, date and files; what RECORD in the folder holds.
        is_new: whether this call brought it.
    """

    folder: Path
    record: dict[str, Any]
    is_new: bool


def fetch(
    data: PublicData,
    out: Path,
    *,
    timeout: float = 60.0,
    limits: Limits | None = None,
    progress: Progress = lambda done, total: None,
) -> Fetched:
    """Download and unpack `data` into the folder out/NAME, unless it is there; what is there is verified.

    The archive grows in out/NAME.part until it is whole, is unpacked into a hidden folder, and that is renamed.

    Raises:
        DataError: it cannot be downloaded, or is not what it should be; files of the folder are damaged or gone.
        ResourceError: the disk is full.
        UsageError: something else is there; FORGE_OFFLINE is set; another process does the same.
    """
    target = out / data.name
    if (target / RECORD).is_file():
        return _known(target)
    try:
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target}: there is something else already", fix="choose another --out")
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / f"{data.name}.part") as part:
            if (target / RECORD).is_file():  # another process was quicker
                forget(part)
                return _known(target)
            record = download(
                data.url, part, size=data.bytes, largest=data.largest, sha256=data.sha256, timeout=timeout,
                progress=progress,
            )  # fmt: skip
            record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            _unpack(data, part, target, record, limits)
            forget(part)
    except OSError as error:
        raise disk_error(target, error) from error
    return Fetched(target, record, is_new=True)


def _known(target: Path) -> Fetched:
    """What an earlier call brought."""
    if (target / INVENTORY).is_file() and (bad := damaged(target)):
        raise DataError(
            f"{target}: {len(bad)} files are gone or not as they were unpacked: {', '.join(bad[:5])}",
            fix="remove the folder, and run the same command again",
        )
    return Fetched(target, _read(target / RECORD), is_new=False)


def _unpack(data: PublicData, part: Path, target: Path, record: dict[str, Any], limits: Limits | None) -> None:
    folder = target.with_name(f".{data.name}.unpacking")
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    try:
        record["files"] = extract(part, folder, top=data.top, limits=limits)
        there = sorted(entry.name for entry in folder.iterdir())
        if missing := [name for name in data.folders if name not in there]:
            raise DataError(
                f"{data.url} has no folder {' and '.join(missing)}; it holds {', '.join(there[:8]) or 'no images'}",
                fix="open the address in a browser: its owner may have changed or withdrawn it",
            )
        write_inventory(folder)
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        folder.replace(target)
    except DataError:
        forget(part)  # more of it is not to be had by going on
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(read_bytes(file)))
    except (OSError, ValueError, TypeError):
        return {}
