"""Writing tar shards: members one behind the other, as they are, no shard longer than wanted if it can be helped."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i_forge.data.packs.manifest import Shard

BLOCK = tarfile.BLOCKSIZE
Place = tuple[int, int, int, int]  # shard, offset, length, CRC-32


class ShardWriter:
    """Samples to NAME-000000.tar, NAME-000001.tar, ... The same members give the same bytes.

    Args:
        folder: where the shards go.
        limit: bytes after which the next shard begins; a sample is never divided.

    Attributes:
        shards: those that are complete, of all names.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.shards: list[Shard] = []
        self._prefix, self._number = "", 0
        self._file: _Digesting | None = None
        self._tar: tarfile.TarFile

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self._finish()
        elif self._file is not None:
            self._file.raw.close()  # what is buffered will not be needed

    def add(self, prefix: str, members: Sequence[tuple[str, bytes]]) -> list[Place]:
        """Write the members of one sample to a shard of this name; returns where each lies."""
        needed = sum(BLOCK + len(data) + -len(data) % BLOCK for _, data in members)
        if prefix != self._prefix or (self._file and self._tar.offset + needed + 2 * BLOCK > self.limit):
            self._finish()
        if prefix != self._prefix:
            self._prefix, self._number = prefix, 0
        if self._file is None:
            self._file = _Digesting(self.folder / f"{prefix}-{self._number:06d}.tar")
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        places = []
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            places.append((len(self.shards), self._tar.offset + BLOCK, len(data), zlib.crc32(data)))
            self._tar.addfile(info, io.BytesIO(data))
        return places

    def _finish(self) -> None:
        if self._file is None:
            return
        self._tar.close()
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
            self.shards.append(Shard(file.path.name, file.tell(), file.digest.hexdigest()))
        self._file, self._number = None, self._number + 1


class _Digesting(io.BufferedWriter):
    """A new file that knows the SHA-256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "xb"))
        self.path, self.digest = path, hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return super().write(data)
