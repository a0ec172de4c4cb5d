"""A table of images inside other files: one row each, and its name. All of it is read into one block of memory, which
forked processes share. It is not mapped: a mapped file that is cut kills the process that looks at it.

    8 bytes   "i2i-pack"                4 bytes   version, then 4 of zeros
    8 bytes   number of rows            8 bytes   length of the names
    32 bytes  SHA-256 of what follows
    rows, as ROW says                   names, one behind the other, UTF-8
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.errors import DataError
from i2i_forge.system.files import LARGEST_TENSORS, open_to_read

MAGIC, VERSION = b"i2i-pack", 1
HEADER = struct.Struct("<8sIIQQ32s")
ALONE = 0xFFFFFFFF  # the partner of an image that has none
LONGEST_NAME = 8192  # bytes
LARGEST_IMAGE = 1 << 30  # bytes; 64 megapixels of four floats
ROW = np.dtype([
    ("offset", "<u8"),  # of the image in its shard, in bytes
    ("name", "<u8"),  # where its name begins among the names
    ("length", "<u4"),  # of the image, in bytes
    ("crc", "<u4"),  # CRC-32 of the image
    ("shard", "<u4"),  # a number
    ("width", "<u4"), ("height", "<u4"),  # of the upright image; 0 where nobody looked
    ("partner", "<u4"),  # the row of the other image of a pair, or ALONE
])  # fmt: skip
Rows = np.ndarray[Any, np.dtype[Any]]
Block = np.ndarray[Any, np.dtype[np.uint8]]
PIECE = 1 << 16  # rows that are checked at once


def write_table(file: Path, rows: Rows, names: Sequence[bytes]) -> tuple[int, str]:
    """Write a table; where each name begins is filled in. Returns the length and SHA-256 of the file."""
    rows["name"] = np.cumsum([0, *(len(name) for name in names)], dtype=np.uint64)[:-1]
    texts = b"".join(names)
    body = hashlib.sha256(rows.data)
    body.update(texts)
    pieces = HEADER.pack(MAGIC, VERSION, 0, len(rows), len(texts), body.digest()), rows.data, texts
    whole = hashlib.sha256()
    with file.open("wb") as handle:
        for piece in pieces:
            handle.write(piece)
            whole.update(piece)
    return HEADER.size + rows.nbytes + len(texts), whole.hexdigest()


class Table:
    """The rows and names of a file, checked.

    Args:
        file: as `write_table` writes it.
        shards: the length of each shard in bytes; rows must lie inside.
        fix: what to do when it cannot be used.
        sha256: of the file, where that is known; otherwise the checksum that it states counts.

    Raises:
        DataError: the file is missing, of another version, damaged, or speaks of what is not there.
    """

    def __init__(self, file: Path, shards: Sequence[int], fix: str, sha256: str = "") -> None:
        self.file, self.fix, self.sha256 = file, fix, sha256
        self._check_rows(shards)

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "fix": self.fix, "sha256": self.sha256}  # another process reads it itself

    @property
    def rows(self) -> Rows:
        """All rows."""
        return self._content[0]

    def name(self, index: int) -> str:
        """The name of an image."""
        rows, names = self._content
        end = int(rows[index + 1]["name"]) if index + 1 < len(rows) else len(names)
        return names[int(rows[index]["name"]) : end].tobytes().decode(errors="surrogateescape")

    @cached_property
    def _content(self) -> tuple[Rows, Block]:
        try:
            with open_to_read(self.file, LARGEST_TENSORS) as handle:
                head = handle.read(HEADER.size)
                count, names, stated = self._header(head, os.fstat(handle.fileno()).st_size)
                block = np.empty(count * ROW.itemsize + names, np.uint8)
                if handle.readinto(block.data) < len(block):
                    raise self._bad("was cut while it was read")
        except OSError as error:
            raise self._bad(f"cannot be read: {error.strerror or error}") from error
        digest = hashlib.sha256(head if self.sha256 else b"")
        digest.update(block.data)
        if not self.sha256 and digest.digest() != stated:
            raise self._bad("is damaged: it does not have the checksum it states")
        if self.sha256 and (found := digest.hexdigest()) != self.sha256:
            raise self._bad(f"is not the one that was made with it, or is damaged: its SHA-256 is {found[:12]}")
        block.flags.writeable = False
        middle = count * ROW.itemsize
        return block[:middle].view(ROW), block[middle:]

    def _header(self, head: bytes, length: int) -> tuple[int, int, bytes]:
        """How many rows there are, the length of the names, and the checksum of what follows."""
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise self._bad("is no index of packed images")
        _, version, _, count, names, stated = HEADER.unpack(head)
        if version != VERSION:
            raise self._bad(f"is an index of version {version}; this i2i_forge reads version {VERSION}")
        expected = HEADER.size + count * ROW.itemsize + names
        if length != expected:
            raise self._bad(f"has {length:,} bytes instead of {expected:,}")
        if not 0 < count < ALONE or not names:
            raise self._bad(f"speaks of {count:,} images")
        return count, names, stated

    def _check_rows(self, shards: Sequence[int]) -> None:
        # a checksum tells damage, not intent: whoever writes a file can write its checksum
        (rows, names), lengths = self._content, np.array(shards, np.uint64)
        for start in range(0, len(rows), PIECE):
            some, after = rows[start : start + PIECE], rows["name"][start + 1 : start + PIECE + 1]
            ends = np.append(after, np.uint64(len(names))) if len(after) < len(some) else after
            named = (some["name"] < ends) & (ends - some["name"] <= LONGEST_NAME)
            good = (some["shard"] < len(lengths)) & (some["length"] <= LARGEST_IMAGE)
            good &= named & ((some["partner"] < len(rows)) | (some["partner"] == ALONE))
            if good.all():
                room = lengths[some["shard"]]
                good = (some["offset"] <= room) & (some["length"] <= room - np.minimum(some["offset"], room))
            if not good.all():
                raise self._bad(f"speaks of what is not there: row {start + int(np.argmin(good))}")

    def _bad(self, cause: str) -> DataError:
        return DataError(f"{self.file} {cause}", fix=self.fix)
