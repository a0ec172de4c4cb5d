"""A pack that is open: its images by row, each compared with its checksum."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from i2i_forge.data.decode import Encoded
from i2i_forge.data.lazy import Lazy
from i2i_forge.data.packs.files import OpenFiles
from i2i_forge.data.packs.manifest import AGAIN, INDEX, MANIFEST, PartOf, Shard, read_manifest
from i2i_forge.data.packs.table import Table
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


class PartImages(Lazy[Encoded]):
    """The images of a part, each made when it is asked for."""

    def __init__(self, pack: Pack, part: PartOf) -> None:
        self.pack, self.part = pack, part

    def __len__(self) -> int:
        return self.part.count

    def at(self, place: int) -> Encoded:
        """One image."""
        return self.pack.image(self.part.first + place)


class PartPairs(Lazy[tuple[Encoded, Encoded]]):
    """The pairs of a part of a, each made when it is asked for."""

    def __init__(self, pack: Pack, part: PartOf, *, swap: bool) -> None:
        self.pack, self.part, self.swap = pack, part, swap

    def __len__(self) -> int:
        return self.part.count

    def at(self, place: int) -> tuple[Encoded, Encoded]:
        """One pair."""
        row = self.part.first + place
        a, b = self.pack.image(row), self.pack.image(int(self.pack.table.rows[row]["partner"]))
        return (b, a) if self.swap else (a, b)
