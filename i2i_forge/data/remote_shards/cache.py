"""Shards on the disk: fetched whole, as many as a limit allows, those used last. Several processes share them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2i_forge.data.remote_shards.fetching import bring
from i2i_forge.data.remote_shards.patterns import LOCAL, scheme
from i2i_forge.errors import ResourceError
from i2i_forge.public_data.download import disk_error, forget
from i2i_forge.public_data.remote import note_of


class ShardCache:
    """A folder of shards.

    A shard that is removed while another process reads it goes on to be read there; its space is free when that one has
    turned to others.

    Args:
        folder: is made when it is needed.
        limit: bytes of all shards together, about: those that are being fetched come on top.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def path(self, address: str, size: int | None = None, sha256: str = "") -> Path:
        """The file of a shard, fetched if it is not there.

        Args:
            address: a path, which is returned as it is, or where to fetch it.
            size, sha256: what it must have, where that is known.

        Raises:
            DataError: it cannot be fetched, or is not what it should be.
            ResourceError: the disk is full, or the limit is less than one shard.
        """
        if scheme(address) == LOCAL:
            return Path(address)
        file = self.folder / f"{short(address, sha256)}.tar"
        if self._is_there(file, size):
            return file
        with locked(file.with_suffix(".lock")):
            if not self._is_there(file, size):  # no other process was quicker
                self._trim(size or 0, file)
                part = file.with_suffix(".part")
                bring(address, part, size=size, sha256=sha256)
                note_of(part).unlink(missing_ok=True)
                part.replace(file)
                self._trim(0, file)
        return file

    def drop(self, address: str, sha256: str = "") -> None:
        """Remove a shard that turned out to be damaged here."""
        if scheme(address) != LOCAL:
            file = self.folder / f"{short(address, sha256)}.tar"
            file.unlink(missing_ok=True)
            forget(file.with_suffix(".part"))

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
            for file in self.folder.glob("*.tar"):
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    found.append((status.st_mtime_ns, status.st_size, file))
            total = sum(size for _, size, _ in found) + needed
            for _, size, file in sorted(found):
                if total > self.limit and file != kept:
                    file.unlink(missing_ok=True)
                    total -= size


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
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
