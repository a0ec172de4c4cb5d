"""What is in an archive, zip or tar.gz, one member after another; and which members are refused."""

from __future__ import annotations

import gzip
import io
import math
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from i2i_forge.errors import DataError

ENTRY = 128  # bytes that a member takes in the list of a zip, names of usual length
LONGEST_HEADERS = 1 << 20  # bytes before the content of a member of a tar
Opener = Any  # () -> a readable binary stream


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it is written in the archive.
        size: unpacked, as the archive says.
        problem: why it is refused, "" if it is not.
        open: gives its content; None for a folder.
    """

    name: str
    size: int
    problem: str
    open: Opener | None


class Budget:
    """Counts unpacked bytes. Raises DataError above the limit."""

    def __init__(self, archive: Path, limit: int) -> None:
        self.archive, self.left, self.limit = archive, limit, limit

    def take(self, count: int) -> None:
        """`count` more bytes."""
        self.left -= count
        if self.left < 0:
            raise DataError(
                f"{self.archive}: {self.archive.stat().st_size:,} bytes unpack to more than {self.limit:,}",
                fix="do not use it: images do not shrink that much, this archive is made to fill a disk",
            )


def members(archive: Path, budget: Budget, most: int) -> Iterator[Member]:
    """The members of an archive.

    Args:
        most: about how many there may be. A zip that lists far more is refused before its list is in memory.

    Raises:
        DataError: the file is no archive, or the budget is exceeded.
    """
    with archive.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        return _of_zip(archive, budget, most * ENTRY)
    if head[:2] == b"\x1f\x8b":
        return _of_tar(archive, budget)
    raise DataError(f"{archive} is neither a zip nor a tar.gz archive; it begins {head!r}", fix="look at it")


def _of_zip(archive: Path, budget: Budget, directory: int) -> Iterator[Member]:
    with _ShortReads(io.FileIO(archive), directory) as file, zipfile.ZipFile(file) as zipped:
        for info in zipped.infolist():
            budget.take(info.file_size)
            name = info.orig_filename  # `filename` ends at a NUL byte
            opener = None if name.endswith("/") else partial(zipped.open, info)
            yield Member(name, info.file_size, name_problem(name) or _zip_problem(info), opener)


class _ShortReads(io.BufferedReader):
    """A file that cannot be read in pieces above a size: zipfile reads the list of members in one."""

    def __init__(self, file: io.FileIO, most: int) -> None:
        super().__init__(file)
        self.most = max(most, 1 << 20)  # the end, with a comment, is read in one too

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises DataError for too much."""
        data = super().read(self.most + 1 if size is None or not 0 <= size <= self.most else size)
        if len(data) > self.most:
            raise DataError(f"{self.name} is refused: its list of members is too long", fix="do not use it")
        return data


def _zip_problem(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "is encrypted"
    if stat.S_ISLNK(kind):
        return "is a link"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way"  # among them lzma, which takes the memory that a file asks for
    return "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "is neither a file nor a folder"


def _of_tar(archive: Path, budget: Budget) -> Iterator[Member]:
    with gzip.open(archive) as unpacked:
        counted = _Counted(cast("IO[bytes]", unpacked), budget)
        with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r|") as tar:
            while info := next_member(tar, counted):
                opener = None if info.isdir() else partial(tar.extractfile, info)
                yield Member(info.name, info.size, name_problem(info.name) or _tar_problem(info, archive), opener)
        while counted.read(1 << 20):  # to the checksum, which lies behind what tar reads
            pass


def next_member(tar: tarfile.TarFile, stream: Any) -> tarfile.TarInfo | None:
    """The next member of a tar, which forgets the one before.

    Its headers are read into memory: names of any length, attributes, lists of holes. So meanwhile `stream`, which the
    tar reads, has a place `until` which it must not be read further; at first that is LONGEST_HEADERS.
    """
    tar.members.clear()  # type: ignore[attr-defined]
    tar.pax_headers = {}
    stream.until = tar.offset + LONGEST_HEADERS  # behind what is left of the member before
    info = tar.next()
    stream.until = math.inf
    return info


def _tar_problem(info: tarfile.TarInfo, archive: Path) -> str:
    if info.issym() or info.islnk():
        return "is a link"
    if not (info.isdir() or info.isreg()) or info.issparse():
        return "is neither a file nor a folder"
    if check := getattr(tarfile, "data_filter", None):  # Python's own check, from 3.11.4 on; ours do not rely on it
        check(info, str(archive.parent))
    return ""


class _Counted:
    """A stream whose bytes are taken from a budget, and that is read to a place at most, where there is one."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self.stream, self.budget, self.place = stream, budget, 0
        self.until: float = LONGEST_HEADERS

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        data = self.stream.read(count)
        self.budget.take(len(data))
        self.place += len(data)
        if self.place > self.until:
            cause = f"{self.budget.archive} is refused: a member has headers of more than {LONGEST_HEADERS:,} bytes"
            raise DataError(cause, fix="do not use it; get the data from a place you trust")
        return data


def name_problem(name: str) -> str:
    """Why a member's name is refused; "" if it is a plain relative path."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name:
        return "has a name that is not a relative path"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "has a name with control characters"
    parts = name.split("/")
    if ".." in parts:
        return "leads out of its folder"
    if any(len(part.encode(errors="surrogateescape")) > 255 for part in parts) or len(name) > 1024:
        return "has a name that is too long"
    return "" if any(part not in ("", ".") for part in parts) or name in (".", "./") else "has no name"
