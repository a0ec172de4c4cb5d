"""Unpacking an archive, zip or tar.gz, that nobody vouches for.

Images and plain text are unpacked, everything else is left out. Refused, before anything of the member is written:
names that leave the folder, links, devices, encrypted members, two members of one name, and more members or bytes than
images have. The caller gives a new folder and throws it away when an error is raised.

`tarfile.data_filter` alone would not do: it follows links that stay inside, mends names, and bounds neither sizes nor
the memory that headers take; for zip there is none.
"""

from __future__ import annotations

import errno
import gzip
import io
import math
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from i2i_forge.errors import DataError, ResourceError

IMAGES = ("bmp", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")  # those that i2i_forge.data reads
TEXTS = ("csv", "json", "md", "txt")
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, struct.error,
          RuntimeError, ValueError)  # fmt: skip
CHUNK = 1 << 20
ENTRY = 128  # bytes that a member takes in the list of a zip, names of usual length
LONGEST_HEADERS = 1 << 20  # bytes before the content of a member of a tar


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    members: int = 500_000  # files and folders
    bytes: int = 1 << 38  # unpacked
    ratio: int = 20  # unpacked bytes are at most `ratio` times the packed ones plus `slack`: images hardly shrink
    slack: int = 1 << 26


USUAL = Limits()


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str  # as it is written there
    size: int  # unpacked, as the archive says
    problem: str  # why it is refused, "" if it is not
    open: Callable[[], Any] | None  # gives its content; None for a folder


def extract(archive: Path, folder: Path, *, top: str = "", limits: Limits = USUAL) -> int:
    """Unpack the images and texts of a zip or tar.gz archive; returns how many files there were.

    Args:
        folder: a new folder, which is made; what is in it after an error is of no use.
        top: a folder of the archive that is left out of the names.

    Raises:
        DataError: the archive is damaged or refused.
        ResourceError: the disk is full.
    """
    count = 0
    try:
        folder.mkdir(parents=True)
        for number, member in enumerate(_members(archive, limits)):
            if number >= limits.members:
                raise _refused(archive, f"holds more than {limits.members:,} members")
            if member.problem:
                raise _refused(archive, f"{member.name!r} {member.problem}")
            if member.open is not None and (parts := _kept(member.name, top)):
                _write(archive, member, folder.joinpath(*parts))
                count += 1
    except DAMAGE as error:  # before OSError, which BadGzipFile is too
        raise DataError(f"{archive} is damaged: {error or type(error).__name__}", fix="download it again") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "free disk space, and run the same command again" if full else "name another folder"
        raise ResourceError(f"{archive} cannot be unpacked: {error.strerror}", fix=fix) from error
    return count


def _kept(name: str, top: str) -> list[str]:
    """The parts of the path to write; none for what is left out: hidden files and those of other kinds."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    parts = parts[1:] if len(parts) > 1 and parts[0] == top else parts
    hidden = not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return [] if hidden or Path(parts[-1]).suffix[1:].lower() not in (*IMAGES, *TEXTS) else parts


def _write(archive: Path, member: Member, file: Path) -> None:
    assert member.open is not None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise _refused(archive, f"{member.name!r} is there twice") from error
    left = member.size
    with target, member.open() as source:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            target.write(chunk)
    if left:
        raise ValueError(f"{member.name!r} does not have the size that is stated")


def _refused(archive: Path, cause: str) -> DataError:
    return DataError(f"{archive} is refused: {cause}", fix="do not use it; get the data from a place you trust")


class _Budget:
    """Counts unpacked bytes. Raises DataError above the limit."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.packed = archive, archive.stat().st_size
        self.left = self.limit = min(limits.bytes, limits.ratio * self.packed + limits.slack)

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise DataError(
                f"{self.archive}: {self.packed:,} bytes unpack to more than {self.limit:,}",
                fix="do not use it: images do not shrink that much, this archive is made to fill a disk",
            )


def _members(archive: Path, limits: Limits) -> Iterator[Member]:
    budget = _Budget(archive, limits)
    with archive.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        return _of_zip(archive, budget, limits.members * ENTRY)
    if head[:2] == b"\x1f\x8b":
        return _of_tar(archive, budget)
    raise DataError(f"{archive} is neither a zip nor a tar.gz archive; it begins {head!r}", fix="look at it")


def _of_zip(archive: Path, budget: _Budget, directory: int) -> Iterator[Member]:
    with _ShortReads(io.FileIO(archive), directory) as file, zipfile.ZipFile(file) as zipped:
        for info in zipped.infolist():
            budget.take(info.file_size)
            name = info.orig_filename  # `filename` ends at a NUL byte
            opener = None if name.endswith("/") else partial(zipped.open, info)
            yield Member(name, info.file_size, _name_problem(name) or _zip_problem(info), opener)


class _ShortReads(io.BufferedReader):
    """A file that cannot be read in pieces above a size: zipfile reads the list of members in one."""

    def __init__(self, file: io.FileIO, most: int) -> None:
        super().__init__(file)
        self.most = max(most, 1 << 20)  # the end, with a comment, is read in one too

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(self.most + 1 if size is None or not 0 <= size <= self.most else size)
        if len(data) > self.most:
            raise _refused(Path(self.name), "its list of members is too long")
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


def _of_tar(archive: Path, budget: _Budget) -> Iterator[Member]:
    with gzip.open(archive) as unpacked:
        counted: Any = _Counted(unpacked, budget)
        with tarfile.open(fileobj=counted, mode="r|") as tar:
            while info := next_member(tar, counted):
                opener = None if info.isdir() else partial(tar.extractfile, info)
                yield Member(info.name, info.size, _name_problem(info.name) or _tar_problem(info, archive), opener)
        while counted.read(CHUNK):  # to the checksum, which lies behind what tar reads
            pass


class _Counted:
    """A stream whose bytes are taken from a budget, and that is read to a place at most, where there is one."""

    def __init__(self, stream: gzip.GzipFile, budget: _Budget) -> None:
        self.stream, self.budget, self.place = stream, budget, 0
        self.until: float = LONGEST_HEADERS

    def read(self, count: int) -> bytes:
        data = self.stream.read(count)
        self.budget.take(len(data))
        self.place += len(data)
        if self.place > self.until:
            raise _refused(self.budget.archive, f"a member has headers of more than {LONGEST_HEADERS:,} bytes")
        return data


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


def _name_problem(name: str) -> str:
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
