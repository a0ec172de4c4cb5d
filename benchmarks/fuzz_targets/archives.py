"""The extractor of archives: besides the usual, nothing may be written outside the folder that it is given."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from random import Random
from typing import Any

from i2i_forge.system.fetch import archive
from i2i_forge.system.fetch.archive import Limits, extract
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_benchmarks.fuzz_targets.mutation import changed, zip_of

LIMITS = Limits(members=200, bytes=1 << 20, slack=1 << 18)
CREATING = ("os.mkdir", "os.symlink", "os.link", "os.rename", "os.chmod", "os.chown", "os.utime", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
BLOCK = 512  # bytes of a tar header

_allowed: list[str] = []  # the folder that may be written to meanwhile


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed or (event != "open" and event not in CREATING):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return
    for path in arguments[: 2 if event in ("os.symlink", "os.link", "os.rename") else 1]:
        if not isinstance(path, int) and not os.path.realpath(os.fsdecode(path)).startswith(_allowed[0]):
            raise AssertionError(f"{event} outside: {os.fsdecode(path)!r}")


sys.addaudithook(_watch)


def read(data: bytes) -> None:
    """Extract it, and look at what is there afterwards."""
    with tempfile.TemporaryDirectory() as place:
        (file := Path(place, "archive")).write_bytes(data)
        folder = Path(os.path.realpath(place), "new")
        _allowed[:] = [str(folder)]
        try:
            count = extract(file, folder, top="set", limits=LIMITS)
        finally:
            _allowed.clear()
            size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
            assert size <= LIMITS.bytes + LIMITS.slack, f"{size} bytes are written"
        files = [path for path in folder.rglob("*") if not path.is_dir()]
        assert len(files) == count, f"{count} files are said to be there: {files}"
        assert not any(path.is_symlink() or not path.is_file() for path in files)


def seeds() -> list[bytes]:
    """Good archives of both kinds, and those with members that must be refused."""
    good = {"set/train/1.jpg": b"one", "set/train/2.png": bytes(3000), "set/run.sh": b"x", "README.txt": b"words"}
    long = {f"set/{'x' * 120}/1.jpg": b"1"}
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    found = [_tar(good), _tar(good, tarfile.PAX_FORMAT), _tar(long), _tar(long, tarfile.GNU_FORMAT)]
    found += [zip_of(good, method) for method in methods]
    for name in ("../1.jpg", "/x/1.jpg", "C:1.jpg", "a\\1.jpg"):
        found += [_tar({name: b"x"}), zip_of({name: b"x"})]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE):
        found.append(_tar({"1.jpg": b""}, kind=kind))
    return [*found, _tar({"1.bmp": bytes(1 << 21)}), zip_of({"1.bmp": bytes(1 << 21)}), b""]


def _tar(files: dict[str, bytes], form: int = tarfile.USTAR_FORMAT, kind: bytes = tarfile.REGTYPE) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=form, compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd" if not content else ""
            tar.addfile(info, io.BytesIO(content))
    return target.getvalue()


def mutate(data: bytes, random: Random) -> bytes:
    """Change a header within a tar and give it a right checksum, or what a tar holds before it is packed."""
    try:
        tar = bytearray(gzip.decompress(data))
    except (OSError, EOFError, zlib.error):
        return changed(data, [data], TOKENS, random)
    start = BLOCK * random.randrange(len(tar) // BLOCK + 1)
    header = tar[start : start + BLOCK]
    if len(header) < BLOCK or random.random() < 0.2:
        return gzip.compress(changed(bytes(tar), [data], TOKENS, random), 1)
    for _ in range(random.randrange(1, 4)):
        field, width = random.choice(FIELDS)
        binary = b"\x80".ljust(width - 1, b"\0") + b"\x05"  # a number that is not written in octal digits
        value = random.choice((*TOKENS, random.randbytes(width), b"\xff" * width, binary))
        header[field : field + width] = value[:width].ljust(width, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    again = header if random.random() < 0.2 else b""
    tar[start : start + BLOCK] = header + again
    return gzip.compress(bytes(tar), 1)


FIELDS = (  # of a tar header: place, width
    (0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (265, 32), (329, 8), (345, 155),
)  # fmt: skip
TOKENS = (
    b"../", b"/", b"\\", b"C:", b"\0", b"./", b"0", b"1", b"2", b"5", b"g", b"x", b"L", b"K", b"S", b"V",
    b"00000000010", b"77777777777", b"-1", b"ustar\00000", b"ustar  \0", b"a.jpg", b"20 path=../a.jpg\n",
    b"30 GNU.sparse.map=0,1,2,3\n", b"25 GNU.sparse.major=1\n", b"13 size=-10\n",
    b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07",
)  # fmt: skip
MODULES = (archive, tarfile, zipfile)
TARGET = Target(read, seeds, modules=MODULES, tokens=TOKENS, mutate=mutate, megabytes=64)
