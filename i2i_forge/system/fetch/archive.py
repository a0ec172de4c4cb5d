"""Unpacking an archive that nobody vouches for.

Images and plain text are unpacked, everything else is left out. Refused, before anything of the member is written:
names that leave the folder, links, devices, encrypted members, two members of one name, and more members or bytes than
images have. The caller gives a new folder and throws it away when an error is raised.
"""

from __future__ import annotations

import errno
import gzip
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from i2i_forge.errors import DataError, ResourceError
from i2i_forge.system.fetch.members import Budget, Member, members

IMAGES = ("bmp", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")  # those that i2i_forge.data reads
TEXTS = ("csv", "json", "md", "txt")
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, struct.error,
          RuntimeError, ValueError)  # fmt: skip
CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        members: files and folders.
        bytes: unpacked.
        ratio, slack: unpacked bytes are at most `ratio` times the packed ones plus `slack`. Images hardly shrink.
    """

    members: int = 500_000
    bytes: int = 1 << 38
    ratio: int = 20
    slack: int = 1 << 26

    def budget(self, archive: Path) -> Budget:
        """For unpacking this archive."""
        return Budget(archive, min(self.bytes, self.ratio * archive.stat().st_size + self.slack))


def extract(archive: Path, folder: Path, *, top: str = "", limits: Limits | None = None) -> int:
    """Unpack the images and texts of a zip or tar.gz archive; returns how many files there were.

    Args:
        folder: a new folder, which is made; what is in it after an error is of no use.
        top: a folder of the archive that is left out of the names.

    Raises:
        DataError: the archive is damaged or refused.
        ResourceError: the disk is full.
    """
    limits, count = limits or Limits(), 0
    try:
        folder.mkdir(parents=True)
        for number, member in enumerate(members(archive, limits.budget(archive), limits.members)):
            if number >= limits.members:
                raise _refused(archive, f"holds more than {limits.members:,} members")
            if member.problem:
                raise _refused(archive, f"{member.name!r} {member.problem}")
            if member.open is not None and (parts := _kept(member.name, top)):
                _write(archive, member, folder.joinpath(*parts))
                count += 1
    except DAMAGE as error:  # before OSError, which BadGzipFile is too
        raise _damaged(archive, error) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "free disk space, and run the same command again" if full else "name another folder"
        raise ResourceError(f"{archive} cannot be unpacked: {error.strerror}", fix=fix) from error
    return count


def _kept(name: str, top: str) -> list[str]:
    """The parts of the path to write; none for what is left out: hidden files and those of other kinds."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) > 1 and parts[0] == top:
        parts = parts[1:]
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
        raise _damaged(archive, ValueError(f"{member.name!r} does not have the size that is stated"))


def _refused(archive: Path, cause: str) -> DataError:
    return DataError(f"{archive} is refused: {cause}", fix="do not use it; get the data from a place you trust")


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(f"{archive} is damaged: {error or type(error).__name__}", fix="download it again")
