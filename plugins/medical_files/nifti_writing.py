"""NIfTI files, with the geometry of another or of their own."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from i2i_forge.data import Codes, Header
from i2i_forge.errors import DataError

from .nifti_header import TO_LPS, beginning, file_of_header, parsed
from .quiet import quietly

if TYPE_CHECKING:
    from .nifti import StoredNifti

FASTEST = 1  # of zlib's levels, as nibabel: noise takes 15 % more bytes and a quarter of the time
RESET = {  # what is true of the values of another file alone
    "cal_min": 0, "cal_max": 0, "glmin": 0, "glmax": 0, "intent_code": 0, "intent_p1": 0, "intent_p2": 0,
    "intent_p3": 0, "intent_name": b"", "descrip": b"i2i_forge",
}  # fmt: skip
READ_ONLY = (".hdr", ".img", ".mgh", ".mgz")
LONGEST_SIDE = 2**15 - 1  # of NIfTI-1


def write_nifti(path: Path, codes: Codes, header: Header, like: StoredNifti | None) -> None:
    """Write a file as `FileFormat.write` says. What describes the values of `like` is not taken over."""
    volume = _volume(path, codes, header)
    if like and like.kind != "MGHHeader":
        found, tail = _header_like(like)
        volume = _turned_back(path, volume, like)
    else:
        found, tail = _new_header(header, volume.shape), b"\0" * 4
    tail += b"\0" * (-(len(found.binaryblock) + len(tail)) % 16)
    try:
        found.set_data_dtype(np.dtype(header.dtype))
    except Exception as error:  # nibabel's own
        raise DataError(f"{path}: NIfTI holds no {header.dtype}", fix="set `write: {dtype: float32}`") from error
    pixdim = found["pixdim"].copy()
    found.set_data_shape(volume.shape[::-1])  # which resets some of it
    fields = {
        **RESET, "pixdim": pixdim, "magic": found.single_magic, "vox_offset": len(found.binaryblock) + len(tail),
        "scl_slope": header.slope[0], "scl_inter": header.offset[0],
    }  # fmt: skip
    for name, value in fields.items():
        if name in found.keys():  # noqa: SIM118  NIfTI-2 has no glmax; a header is no mapping
            found[name] = value
    stored = np.dtype(header.dtype).newbyteorder(found.endianness)
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("xb"))
        if _ending(path) == ".gz":
            packed = gzip.GzipFile("", "wb", FASTEST, file, mtime=0)
            file = cast(BinaryIO, stack.enter_context(packed))
        file.write(found.binaryblock + tail)
        for at in np.ndindex(volume.shape[:-2]):
            file.write(volume[at].astype(stored).tobytes())


def _ending(path: Path) -> str:
    """The last ending that is of such files: behind it is what the caller takes away again."""
    return next((each for each in reversed(path.suffixes) if each in (".nii", ".gz", *READ_ONLY)), "")


def _volume(path: Path, codes: Codes, header: Header) -> Codes:
    """The codes without the axis of channels: z,rows,columns or t,z,rows,columns."""
    if _ending(path) in READ_ONLY:
        raise DataError(f"{path}: pairs and MGH files are only read", fix="write .nii or .nii.gz")
    if len(header.channels) != 1:
        cause = f"{path}: NIfTI holds one channel, not {len(header.channels)}"
        raise DataError(cause, fix="write a file for each, or TIFF: `write: {as: tiff}`")
    names = tuple(name for name, _ in header.axes)
    if names not in ((), ("z",), ("t",), ("t", "z")):
        raise DataError(f"{path}: NIfTI holds the axes t and z, not {', '.join(names)}", fix="write: {as: tiff}")
    planes: Codes = codes[..., 0, :, :]
    return planes if "z" in names else planes[..., None, :, :]


def _turned_back(path: Path, volume: Codes, like: StoredNifti) -> Codes:
    sizes = (dict(like.header.axes)["z"], like.header.rows, like.header.columns)
    if volume.shape[-3:] != sizes:
        cause = f"{path}: {volume.shape[-3:]} values cannot lie where {like.path} has {sizes}"
        raise DataError(cause, fix="write like the file that was translated")
    return like.orientation.turn_back(volume) if like.orientation else volume


def _header_like(like: StoredNifti) -> tuple[Any, bytes]:
    """The header of a file, and the bytes of its extensions as they are."""
    with quietly(like.path):
        is_pair = "Pair" in like.kind
        head = beginning(file_of_header(like.path), 2**26 if is_pair else like.begins)
        found = parsed(like.kind, head)
        return found, head[len(found.binaryblock) :] or b"\0" * 4


def _new_header(header: Header, shape: tuple[int, ...]) -> Any:
    """A header of the affine there is, else of the spacing: then it says no orientation."""
    kind = "Nifti2Header" if max(shape) > LONGEST_SIDE else "Nifti1Header"
    found = parsed(kind, b"")
    found.set_data_shape(shape[::-1])
    found.set_xyzt_units("mm")
    if header.affine:
        lps = np.array(header.affine)[:, [2, 1, 0, 3]]
        ras = np.vstack([TO_LPS @ lps + 0.0, (0, 0, 0, 1)])  # no -0.0
        found.set_qform(ras, 1)
        found.set_sform(ras, 1)
    elif header.spacing:
        found.set_zooms((*header.spacing[::-1], *(1.0,) * (len(shape) - 3)))
    return found
