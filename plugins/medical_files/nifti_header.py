"""The headers of NIfTI and MGH files, by nibabel, and what a gzipped file holds."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

GZIP = b"\x1f\x8b"
LONGEST = 540  # bytes of a header, of NIfTI-2
MGH = b"\0\0\0\1"  # the version that an MGH file begins with, 284 bytes long
MAGIC = {b"n+1\0": "Nifti1Header", b"ni1\0": "Nifti1PairHeader",
         b"n+2\0": "Nifti2Header", b"ni2\0": "Nifti2PairHeader"}  # fmt: skip
TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS, which NIfTI and MGH count in


def is_packed(path: Path) -> bool:
    """Whether a file is gzipped, whatever its name says."""
    with path.open("rb", buffering=0) as file:
        return file.read(2) == GZIP


def unpacked(path: Path) -> BinaryIO:
    """A file as it was before it was gzipped, if it was."""
    return cast(BinaryIO, gzip.open(path)) if is_packed(path) else path.open("rb")


def beginning(path: Path, size: int = LONGEST) -> bytes:
    """The first bytes of a file, unpacked."""
    with unpacked(path) as file:
        return file.read(size)


def kind_of(head: bytes) -> str:
    """The name of nibabel's class of the header that a file begins with, by its first 512 bytes; "" for others."""
    if head[:2] == GZIP:
        try:
            head = zlib.decompressobj(31).decompress(head, LONGEST)
        except zlib.error:
            return ""
    size = min(int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    if head[:4] == MGH:
        return "MGHHeader"
    return MAGIC.get(head[4:8] if size == 540 else head[344:348] if size == 348 else b"", "")


def parsed(kind: str, head: bytes) -> Any:
    """A header by nibabel, of one of the classes that `kind_of` names. It raises what nibabel raises."""
    from nibabel import nifti1, nifti2
    from nibabel.freesurfer.mghformat import MGHHeader
    from nibabel.imageglobals import LoggingOutputSuppressor

    if kind == "MGHHeader":
        return MGHHeader(head[:284])
    made = getattr(nifti2 if kind.startswith("Nifti2") else nifti1, kind)
    with LoggingOutputSuppressor():  # what it mends in a header
        return made(head[: made.template_dtype.itemsize] or None)


def file_of_header(path: Path) -> Path:
    """The file of a pair that has the header: for x.img, x.hdr if it lies beside it."""
    beside = path.with_suffix(".hdr")
    return beside if path.suffix.lower() == ".img" and beside.is_file() else path


def maps_of(found: Any) -> list[Any]:
    """What a header says of where it lies, what counts first: 4,4 matrices that take (i, j, k, 1) to RAS."""
    if hasattr(found, "get_affine"):  # MGH
        return [found.get_affine()]
    forms = (found.get_sform(coded=True)[0], found.get_qform(coded=True)[0])
    return [form for form in forms if form is not None]
