"""Shards on the disk: fetched whole, as many as a limit allows, those used last. Several processes share them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2i_forge.errors import DataError, ResourceError
from i2i_forge.system import descriptor, take_lock
from i2i_forge.system.fetch import disk_error, forget

from .addresses import Shard
from .fetching import fetch


class ShardCache:
    """A folder of shards.

    Each has a lock, which is held while it is fetched and opened, so that no other process removes it meanwhile. One
    that is removed while a process reads it goes on to be read there; its space is free when that one has turned to
    others.

    Args:
        folder: is made when it is needed.
        limit: bytes of all shards and parts of shards together; those that are being fetched may come on top.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def file(self, shard: Shard) -> Path:
        """Where a shard lies when it is there: a path is itself."""
        return Path(shard.address) if shard.is_local else self.folder / f"{short(shard.address, shard.sha256)}.tar"

    def open(self, shard: Shard) -> int:
        """The descriptor of a shard, open for reading, fetched if it is not there.

        Raises:
            DataError: it cannot be fetched or read, or is not what it should be.
            ResourceError: the disk is full, or the limit is less than one shard.
        """
        with self._there(shard) as file:
            try:
                return descriptor(file)
            except OSError as error:
                cause = f"shard {file} cannot be read: {error.strerror or error}"
                raise DataError(cause, fix="correct its path or its permissions") from error

    def path(self, shard: Shard) -> Path:
        """The file of a shard, which another process may remove at any time. Raises as `open`."""
        with self._there(shard) as file:
            return file

    def used(self, shard: Shard) -> None:
        """Keep a shard longer than those that were used before."""
        if not shard.is_local:
            with contextlib.suppress(OSError):
                os.utime(self.file(shard))

    def drop(self, shard: Shard, read: os.stat_result) -> None:
        """Remove a shard that turned out to be damaged here, if it is still the file that was read."""
        if not shard.is_local:
            file = self.file(shard)
            with locked(file.with_suffix(".lock")), contextlib.suppress(FileNotFoundError):
                if os.path.samestat(file.stat(), read):
                    file.unlink()

    def need(self, size: int) -> None:
        """Raises ResourceError when shards of so many bytes, which are read at a time, do not fit."""
        if size > self.limit:
            raise ResourceError(
                f"the shards that are mixed have {size / 1e9:.2g} GB, the cache holds {self.limit / 1e9:.2g} GB",
                fix="set data.cache_gb higher, or data.mix lower",
            )

    @contextmanager
    def _there(self, shard: Shard) -> Iterator[Path]:
        file = self.file(shard)
        if shard.is_local:
            yield file
            return
        with locked(file.with_suffix(".lock")):
            if not file.is_file() or shard.size not in (None, file.stat().st_size):
                self._trim(shard.size or 0, file)
                fetch(shard, file)
                self._trim(0, file)
            self.used(shard)
            yield file

    def _trim(self, needed: int, kept: Path) -> None:
        """Remove shards, those first that were used longest ago, until `needed` bytes fit below the limit."""
        if needed > self.limit:
            raise ResourceError(
                f"a shard of {needed / 1e9:.2g} GB does not fit the cache of {self.limit / 1e9:.2g} GB",
                fix="set data.cache_gb higher",
            )
        with locked(self.folder / "trim.lock"):
            found = []
            for file in (*self.folder.glob("*.tar"), *self.folder.glob("[!.]*.part")):  # a hidden part is of a note
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    if file != kept.with_suffix(".part"):  # that is to be `kept`
                        found.append((status.st_mtime_ns, status.st_size, file))
            total = sum(size for _, size, _ in found) + needed
            for _, size, file in sorted(found):
                if total > self.limit and file != kept and _remove(file):
                    total -= size


def _remove(file: Path) -> bool:
    """Remove a shard, or a part of one, that no process holds; returns whether it did."""
    with file.with_suffix(".lock").open("ab") as lock:
        if not take_lock(lock):
            return False
        forget(file)
    return True


def short(*texts: str) -> str:
    """A file name for some texts."""
    return hashlib.sha256("\n".join(texts).encode(errors="surrogateescape")).hexdigest()[:32]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Wait until no other process holds this, and hold it. Raises ForgeError when the folder cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("ab")
    except OSError as error:
        raise disk_error(file, error) from error
    with handle:
        try:
            take_lock(handle, wait=True)
        except OSError as error:
            raise disk_error(file, error) from error
        yield
