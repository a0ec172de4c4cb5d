"""Shards on the disk: fetched whole, as many as a limit allows, those used last. Several processes share them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2i_forge.errors import DataError, ResourceError
from i2i_forge.system.fetch.download import disk_error, forget

from .fetching import fetch
from .patterns import LOCAL, scheme

OPENING = 5  # times that a shard is fetched before it is given up, because other processes remove it


class ShardCache:
    """A folder of shards.

    A shard that is removed while another process reads it goes on to be read there; its space is free when that one has
    turned to others.

    Args:
        folder: is made when it is needed.
        limit: bytes of all shards and parts of shards together; those that are being fetched may come on top.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def file(self, address: str, sha256: str = "") -> Path:
        """Where a shard lies when it is there: a path is itself."""
        return Path(address) if scheme(address) == LOCAL else self.folder / f"{short(address, sha256)}.tar"

    def open(self, address: str, size: int | None = None, sha256: str = "") -> int:
        """The descriptor of a shard, open for reading; the arguments and errors are those of `path`."""
        for _ in range(OPENING):
            file = self.path(address, size, sha256)
            try:
                return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if scheme(address) == LOCAL or not isinstance(error, FileNotFoundError):
                    cause = f"shard {file} cannot be read: {error.strerror or error}"
                    raise DataError(cause, fix="correct its path or its permissions") from error
        raise ResourceError(
            f"{address} was fetched {OPENING} times, and each time another process removed it before it was read",
            fix="set data.cache_gb higher, in all processes that share the cache",
        )

    def path(self, address: str, size: int | None = None, sha256: str = "") -> Path:
        """The file of a shard, fetched if it is not there. Another process may remove it at any time: see `open`.

        Args:
            address: a path, which is returned as it is, or where to fetch it.
            size, sha256: what it must have, where that is known.

        Raises:
            DataError: it cannot be fetched, or is not what it should be.
            ResourceError: the disk is full, or the limit is less than one shard.
        """
        file = self.file(address, sha256)
        if scheme(address) == LOCAL or self._is_there(file, size):
            return file
        with locked(file.with_suffix(".lock")):
            if not self._is_there(file, size):  # no other process was quicker
                self._trim(size or 0, file)
                fetch(address, file, size=size, sha256=sha256)
                self._trim(0, file)
        return file

    def used(self, address: str, sha256: str = "") -> None:
        """Keep a shard longer than those that were used before."""
        if scheme(address) != LOCAL:
            with contextlib.suppress(OSError):
                os.utime(self.file(address, sha256))

    def drop(self, address: str, sha256: str, read: os.stat_result) -> None:
        """Remove a shard that turned out to be damaged here, if it is still the file that was read."""
        if scheme(address) != LOCAL:
            file = self.file(address, sha256)
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

    def _is_there(self, file: Path, size: int | None) -> bool:
        try:
            if size is not None and file.stat().st_size != size:
                return False
            os.utime(file)  # it was used
        except OSError:
            return False
        return True

    def _trim(self, needed: int, kept: Path) -> None:
        """Remove shards, those first that were used longest ago, until `needed` bytes fit below the limit."""
        if needed > self.limit:
            raise ResourceError(
                f"a shard of {needed / 1e9:.2g} GB does not fit the cache of {self.limit / 1e9:.2g} GB",
                fix="set data.cache_gb higher",
            )
        with locked(self.folder / "trim.lock"):
            found = []
            for file in (*self.folder.glob("*.tar"), *self.folder.glob("*.part")):
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    if file != kept.with_suffix(".part"):  # that is to be `kept`
                        found.append((status.st_mtime_ns, status.st_size, file))
            total = sum(size for _, size, _ in found) + needed
            for _, size, file in sorted(found):
                if total > self.limit and file != kept and _remove(file):
                    total -= size


def _remove(file: Path) -> bool:
    """Remove a shard, or a part that nobody goes on with; returns whether it did."""
    if file.suffix != ".part":
        file.unlink(missing_ok=True)
        return True
    with file.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
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
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise disk_error(file, error) from error
        yield
