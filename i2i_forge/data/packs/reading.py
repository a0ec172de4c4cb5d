"""A pack that is open: its images by row, each compared with its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from i2i_forge.data.decode import Encoded
from i2i_forge.data.packs.manifest import AGAIN, INDEX, MANIFEST, PartOf, Shard, read_manifest
from i2i_forge.data.packs.table import Table
from i2i_forge.data.path_list import Lazy
from i2i_forge.errors import DataError
from i2i_forge.system.files import descriptor, open_to_read

PIECE = 1 << 22
MOST = 64  # files that are open at once


class OpenFiles:
    """The files that were read last, open. A copy in another process opens its own.

    They are read, not mapped: a mapped file that is cut, or whose disk fails, kills the process that looks at it.

    Args:
        fix: what to do when they do not hold what they should.
        most: how many are open at once.
    """

    def __init__(self, fix: str, most: int = MOST) -> None:
        self.fix, self.most = fix, most
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def __del__(self) -> None:
        for number in self.__dict__.get("_open", {}).values():
            with contextlib.suppress(OSError):
                os.close(number)

    def read(self, file: Path, row: Any, name: Callable[[], str], open_it: Callable[[Path], int] = descriptor) -> bytes:
        """The bytes of a file that a row of a table speaks of. Raises DataError, which calls them `name()`."""
        offset, length = int(row["offset"]), int(row["length"])
        try:
            data = os.pread(self._opened(file, open_it), length, offset)
        except OSError as error:
            raise DataError(f"{name()}: cannot be read: {error.strerror or error}", fix=self.fix) from error
        if len(data) < length:
            raise DataError(f"{name()}: lies behind the end of {file.name}, which was cut", fix=self.fix)
        return data

    def close(self, file: Path) -> os.stat_result:
        """Open a file that is open anew when it is read next; returns what it was."""
        number = self._open.pop(file)
        try:
            return os.fstat(number)
        finally:
            os.close(number)

    def _opened(self, file: Path, open_it: Callable[[Path], int]) -> int:
        if file not in self._open:
            self._open[file] = open_it(file)
            while len(self._open) > self.most:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(file)
        return self._open[file]


class Pack:
    """The images of a folder that `forge data pack` wrote. Goes to other processes, where it opens its files itself.

    Args:
        root: the folder.

    Raises:
        DataError: it is no pack, is of another version, or the index or a shard is missing, cut, or damaged. Damage
            inside a shard shows when its image is read, or in `verify`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.manifest = read_manifest(self.root / MANIFEST)
        for shard in self.manifest.shards:
            self._check_length(shard)
        shards, entries = [shard.bytes for shard in self.manifest.shards], self.manifest.entries
        self.table = Table(self.root / INDEX, shards, AGAIN, self.manifest.index.sha256)
        if len(self.table) != entries:
            raise DataError(f"{self.table.file} has {len(self.table):,} images, {MANIFEST} says {entries:,}", fix=AGAIN)
        self._files = OpenFiles(AGAIN)

    def image(self, row: int) -> Encoded:
        """The image of a row; it is read when it is decoded."""
        return Encoded(self.name(row), partial(self.read, row))

    def images(self, part: PartOf) -> Lazy[Encoded]:
        """The images of a part."""
        return Lazy(part.count, partial(self._image, part.first))

    def pairs(self, part: PartOf, *, swap: bool = False) -> Lazy[tuple[Encoded, Encoded]]:
        """The pairs of a part of a; with `swap` the image of b first."""
        return Lazy(part.count, partial(self._pair, part.first, swap))

    def name(self, row: int) -> str:
        """The shard, and the file of the folder that was packed."""
        return f"{self._file(row)}/{self.table.name(row)}"

    def read(self, row: int) -> bytes:
        """The bytes of an image. Raises DataError when they cannot be read, or are not those that were packed."""
        data = self._files.read(self._file(row), self.table.rows[row], partial(self.name, row))
        if zlib.crc32(data) != self.table.rows[row]["crc"]:
            raise DataError(f"{self.name(row)}: is damaged: it does not have the checksum of the index", fix=AGAIN)
        return data

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read all shards and compare their checksums. Raises DataError that names the first that is damaged."""
        total, done = sum(shard.bytes for shard in self.manifest.shards), 0
        for shard in self.manifest.shards:
            digest, file = hashlib.sha256(), self.root / shard.name
            try:
                with open_to_read(file) as opened:
                    while piece := opened.read(PIECE):
                        digest.update(piece)
                        progress(done := done + len(piece), total)
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror}", fix=AGAIN) from error
            if digest.hexdigest() != shard.sha256:
                raise DataError(f"{file} is damaged: it does not have its checksum", fix=AGAIN)

    def _file(self, row: int) -> Path:
        return self.root / self.manifest.shards[int(self.table.rows[row]["shard"])].name

    def _image(self, first: int, place: int) -> Encoded:
        return self.image(first + place)

    def _pair(self, first: int, swap: bool, place: int) -> tuple[Encoded, Encoded]:
        a, b = self.image(first + place), self.image(int(self.table.rows[first + place]["partner"]))
        return (b, a) if swap else (a, b)

    def _check_length(self, shard: Shard) -> None:
        file = self.root / shard.name
        try:
            length = file.stat().st_size
        except FileNotFoundError as error:
            raise DataError(f"{file} is missing: a shard of the pack", fix=AGAIN) from error
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}", fix=AGAIN) from error
        if length != shard.bytes:
            what = "is cut" if length < shard.bytes else "is too long"
            raise DataError(f"{file} {what}: it has {length:,} bytes instead of {shard.bytes:,}", fix=AGAIN)
