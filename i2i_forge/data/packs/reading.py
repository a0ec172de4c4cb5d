"""A pack that is open: its images by row, each compared with its checksum."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from i2i_forge.data.decode import Encoded
from i2i_forge.data.packs.files import OpenFiles
from i2i_forge.data.packs.manifest import AGAIN, INDEX, MANIFEST, PartOf, Shard, read_manifest
from i2i_forge.data.packs.table import Table
from i2i_forge.data.path_list import Lazy
from i2i_forge.errors import DataError
from i2i_forge.system.files import open_to_read

PIECE = 1 << 22


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
        shards = [shard.bytes for shard in self.manifest.shards]
        self.table = Table(self.root / INDEX, shards, AGAIN, self.manifest.index.sha256)
        if len(self.table) != self.manifest.entries:
            raise DataError(
                f"{self.table.file} has {len(self.table):,} images, {MANIFEST} says {self.manifest.entries:,}",
                fix=AGAIN,
            )
        self._shards = [self.root / shard.name for shard in self.manifest.shards]
        self._files = OpenFiles()

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
        shard = self.manifest.shards[int(self.table.rows[row]["shard"])]
        return f"{self.root / shard.name}/{self.table.name(row)}"

    def read(self, row: int) -> bytes:
        """The bytes of an image. Raises DataError when they cannot be read, or are not those that were packed."""
        entry = self.table.rows[row]
        file = self._shards[int(entry["shard"])]
        data = self._files.read(file, int(entry["offset"]), int(entry["length"]), partial(self.name, row), AGAIN)
        if zlib.crc32(data) != entry["crc"]:
            raise DataError(f"{self.name(row)}: is damaged: it does not have the checksum of the index", fix=AGAIN)
        return data

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read all shards and compare their checksums. Raises DataError that names the first that is damaged."""
        total, done = sum(shard.bytes for shard in self.manifest.shards), 0
        for shard in self.manifest.shards:
            digest = hashlib.sha256()
            try:
                with open_to_read(self.root / shard.name) as file:
                    while piece := file.read(PIECE):
                        digest.update(piece)
                        progress(done := done + len(piece), total)
            except OSError as error:
                raise DataError(f"{self.root / shard.name} cannot be read: {error.strerror}", fix=AGAIN) from error
            if digest.hexdigest() != shard.sha256:
                raise DataError(f"{self.root / shard.name} is damaged: it does not have its checksum", fix=AGAIN)

    def _image(self, first: int, place: int) -> Encoded:
        return self.image(first + place)

    def _pair(self, first: int, swap: bool, place: int) -> tuple[Encoded, Encoded]:
        rows = [first + place, int(self.table.rows[first + place]["partner"])]
        a, b = map(self.image, rows[::-1] if swap else rows)
        return a, b

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
