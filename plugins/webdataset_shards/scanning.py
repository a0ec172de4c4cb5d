"""What a tar of somebody else holds: which samples, and where their images lie. Nothing is extracted."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import IO, BinaryIO, cast

from i2i_forge.data.packs import LARGEST_IMAGE
from i2i_forge.errors import DataError
from i2i_forge.system.fetch import IMAGES, LONGEST_HEADERS, next_member

LONGEST_NAME = 1024
MOST = 10_000_000  # members of a shard
FIX = "make the shard again, or leave it out of the pattern"


@dataclass(frozen=True)
class Member:
    """A file in a tar.

    Attributes:
        key, ending: its name, divided at the first dot of its last part; the ending in small letters.
        crc: of an image; 0 of other files, which are not read.
    """

    name: str
    key: str
    ending: str
    offset: int
    length: int
    crc: int

    def fits(self, wanted: str) -> bool:
        """Whether it is the image that an ending names: "edges.png", or "a" for "a.png", "a.jpg" ...; "" is any."""
        wanted = wanted.lower()
        return _is_image(self.ending) and (not wanted or self.ending == wanted or self.ending.startswith(f"{wanted}."))


def samples(file: BinaryIO, name: str, endings: tuple[str, ...]) -> list[tuple[Member, ...]]:
    """The samples of a shard that have all the images wanted, in order: members one behind the other that share a key.

    Args:
        file: the shard, from its beginning.
        name: what messages call the shard.
        endings: one for each image; see `Member.fits`. The first that fits is taken.

    Raises:
        DataError: it is no tar, is cut or damaged, or has no such sample.
    """
    found: list[tuple[Member, ...]] = []
    seen: set[str] = set()
    try:
        for _, sample in groupby(_members(file), key=lambda member: member.key):
            members = list(sample)
            chosen = [next((member for member in members if member.fits(ending)), None) for ending in endings]
            if all(chosen):
                found.append(tuple(member for member in chosen if member))
            elif len(seen) < 8:
                seen |= {member.ending for member in members[:8]}
    except RecursionError as error:
        raise DataError(f"{name} is damaged: headers of long names within one another", fix=FIX) from error
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise DataError(f"{name} is damaged, or no tar: {error}", fix=FIX) from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}", fix=FIX) from error
    if not found:
        wanted = " and ".join(repr(ending) if ending else "an image" for ending in endings)
        has = ", ".join(repr(ending) for ending in sorted(seen)[:8]) or "nothing"
        raise DataError(f"{name} has no sample with {wanted}; its members end in {has}",
                        fix="set `a` and `b` to the endings of the two images")  # fmt: skip
    return found


def _is_image(ending: str) -> bool:
    return ending.rpartition(".")[2] in IMAGES


def _members(handle: BinaryIO) -> Iterator[Member]:
    headers, size = _Headers(handle), os.fstat(handle.fileno()).st_size
    with tarfile.open(fileobj=cast("IO[bytes]", headers), mode="r:") as tar:
        count = 0
        while info := next_member(tar, headers):
            if (count := count + 1) > MOST:
                raise ValueError(f"it has more than {MOST:,} members")
            if len(info.name) > LONGEST_NAME:
                raise ValueError("it has a member with a very long name")
            if info.isreg() and not info.issparse():
                if info.offset_data + info.size > size:
                    raise ValueError(f"it ends within {info.name!r}")
                yield _member(info, handle)
        handle.seek(tar.offset)  # a damaged header ends the list as the end mark does, and so does the end of the file
        if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ValueError(f"there is neither a header nor an end mark at byte {tar.offset:,}")


class _Headers:
    """A shard as tarfile reads it, to the place `until` at most."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle, self.seek, self.tell = handle, handle.seek, handle.tell
        self.until: float = LONGEST_HEADERS

    def read(self, count: int) -> bytes:
        if self.tell() + count > self.until:
            raise ValueError(f"a member has headers of more than {LONGEST_HEADERS:,} bytes")
        return self.handle.read(count)


def _member(info: tarfile.TarInfo, handle: BinaryIO) -> Member:
    folder, slash, base = info.name.rpartition("/")
    stem, _, ending = base.partition(".")
    crc = 0
    if _is_image(ending.lower()):
        if info.size > LARGEST_IMAGE:
            raise ValueError(f"{info.name!r} is longer than 1 GB")
        place = handle.tell()
        handle.seek(info.offset_data)
        crc = zlib.crc32(handle.read(info.size))
        handle.seek(place)
    return Member(info.name, folder + slash + stem, ending.lower(), info.offset_data, info.size, crc)
