"""DICOM data sets by pydicom, within bounds."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from i2i_forge.data import bad

PREAMBLE = 132  # bytes, the last four are DICM
LARGEST_DEFLATED = 2**27  # bytes: pydicom unpacks the whole of such a file
LONGEST_VALUE = 1024  # bytes: what is longer stays on the disk until it is asked for
DEFLATED = "1.2.840.10008.1.2.1.99"


def is_dicom(head: bytes) -> bool:
    """Whether a file begins as DICOM does, or at least as its files do that lost their preamble (ACR-NEMA)."""
    return head[128:PREAMBLE] == b"DICM" or (head[:2] in (b"\2\0", b"\x08\0") and head[3:4] == b"\0")


def dataset(path: Path, *, deferred: bool = True) -> Any:
    """The data set of a file, by pydicom; its long values are not read yet unless `deferred` is false."""
    import pydicom

    with path.open("rb") as file:
        head = file.read(1024)
    if DEFLATED.encode() in head:
        _check_deflated(path, head)
    is_bare = head[128:PREAMBLE] != b"DICM"
    found = pydicom.dcmread(path, defer_size=LONGEST_VALUE if deferred else None, force=is_bare)
    if is_bare and not all(name in found for name in ("Rows", "Columns", "PixelData")):
        raise bad(path, "has no DICOM preamble, and no Rows, Columns and PixelData", "convert it, or remove it")
    return found


def _check_deflated(path: Path, head: bytes) -> None:
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(PREAMBLE + 12 + int.from_bytes(head[PREAMBLE + 8 : PREAMBLE + 12], "little"))  # behind group 0002
        packed = file.read()
    while packed and size <= LARGEST_DEFLATED:
        size += len(inflate.decompress(packed, 2**20))
        packed = inflate.unconsumed_tail
    if size > LARGEST_DEFLATED:
        raise bad(path, f"is deflated, and holds more than {LARGEST_DEFLATED:,} bytes", "write it uncompressed")


def number_of(found: Any, name: str) -> float | None:
    """The number of a tag; None where there is none."""
    value = found.get(name)
    return None if value is None or value == "" else float(value)


def numbers_of(found: Any, name: str) -> tuple[float, ...]:
    """The numbers of a tag; () where there are none."""
    value = found.get(name)
    if value is None or value == "":
        return ()
    return tuple(float(each) for each in (value if hasattr(value, "__iter__") else [value]))
