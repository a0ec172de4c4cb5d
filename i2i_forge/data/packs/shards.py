"""Writing tar shards: members one behind the other, as they are, no shard longer than wanted if it can be helped."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from i2i_forge.data.packs.manifest import Shard

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
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
        self._file: BinaryIO | None = None
        self._prefix, self._number, self._length = "", 0, 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._finish()
        elif self._file is not None:
            self._file.close()

    def begin(self, prefix: str) -> None:
        """What follows goes to shards of another name."""
        self._finish()
        self._prefix, self._number = prefix, 0

    def add(self, members: Sequence[tuple[str, bytes]]) -> list[Place]:
        """Write the members of one sample; returns where each lies."""
        needed = sum(BLOCK + len(data) + -len(data) % BLOCK for _, data in members)
        if self._file is not None and self._length + needed + 2 * BLOCK > self.limit:
            self._finish()
        file = self._file or self._open()
        places = []
        for name, data in members:
            self._write(file, _header(name, len(data)))
            places.append((len(self.shards), self._length, len(data), zlib.crc32(data)))
            self._write(file, data)
            self._write(file, bytes(-len(data) % BLOCK))
        return places

    def _write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)
        self._digest.update(data)
        self._length += len(data)

    def _open(self) -> BinaryIO:
        self._name = f"{self._prefix}-{self._number:06d}.tar"
        self._file, self._length, self._digest = (self.folder / self._name).open("xb"), 0, hashlib.sha256()
        return self._file

    def _finish(self) -> None:
        if self._file is None:
            return
        with self._file as file:
            self._write(file, bytes(2 * BLOCK))  # the end of a tar
            self._write(file, bytes(-self._length % RECORD))
            file.flush()
            os.fsync(file.fileno())
        self.shards.append(Shard(self._name, self._length, self._digest.hexdigest()))
        self._file, self._number = None, self._number + 1


def _header(name: str, length: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = length
    return info.tobuf(tarfile.USTAR_FORMAT)
