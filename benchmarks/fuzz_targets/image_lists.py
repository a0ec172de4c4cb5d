"""The reader of image lists, with the header scan of the files that a list names."""

from __future__ import annotations

import tempfile
from pathlib import Path

from i2i_forge.data import check_images, folders, read_list
from i2i_forge.system.files import natural_key
from i2i_forge_benchmarks.fuzz_targets import Target

IMAGE = b"P6 1 1 255 abc"


def read(data: bytes) -> None:
    """Read the list and check the first files that it names."""
    with tempfile.TemporaryDirectory() as place:
        (file := Path(place, "list.txt")).write_bytes(data)
        Path(place, "a.ppm").write_bytes(IMAGE)
        paths = read_list(file, place)
        sorted(paths, key=natural_key)
        check_images(paths[:50])


def seeds() -> list[bytes]:
    """Lists, good and bad."""
    good = (b"a.ppm\n", b"\xef\xbb\xbf./a.ppm \r\n\r\n  a.ppm\n", "bild ä.png\n".encode(), b"/dev/zero\n../x\n")
    return [*good, b"", b"\n \n", b"\xff\xd8\xff", b"x" * 5000, "a\n".encode("utf-16")]


TOKENS = (
    b"a.ppm\n", b"\n", b"\r", b"\0", b"\xef\xbb\xbf", b"../", b"/", "\u2028".encode(), "\x85".encode(), b"\xed\xa0\x80",
    b"99999999999999999999", "\u00b2".encode(), "\u0663".encode(), b"/proc/self/mem\n", b"/dev/stdin\n", b"\x1b[2J",
)  # fmt: skip
TARGET = Target(read, seeds, modules=(folders,), tokens=TOKENS, megabytes=64)
