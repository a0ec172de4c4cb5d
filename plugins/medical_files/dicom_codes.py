"""The codes of DICOM frames: read where they lie, or decoded by pydicom and what it finds installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from i2i_forge.data import Codes, bad
from i2i_forge.errors import DataError

from .dicom_dataset import dataset
from .dicom_picture import Frame, Layout
from .quiet import quietly

DECODERS = ("gdcm", "jpeg_ls")  # of the extra dicom-codecs
JPEG = "1.2.840.10008.1.2.4."
PLUGINS = {  # of pydicom, for one sample: gdcm, which it asks first, aborts the process over some damaged JPEG 2000
    JPEG + "50": "pillow", JPEG + "51": "pillow", JPEG + "90": "pillow", JPEG + "91": "pillow",
    JPEG + "80": "pyjpegls", JPEG + "81": "pyjpegls",
}  # fmt: skip


def codes_of(frame: Frame, layout: Layout) -> Codes:
    """The codes of a frame as its file has them: samples,rows,columns.

    Raises:
        BadImage: they are damaged, or nothing decodes them; DataError: a decoder is not installed.
    """
    if frame.begins < 0:
        return decoded(frame, layout, frame.index)[0]
    count = layout.rows * layout.columns
    stored = np.dtype(layout.dtype).newbyteorder(frame.order)  # type: ignore[arg-type]
    with quietly(frame.path):
        codes = np.fromfile(frame.path, stored, count, offset=frame.begins)
    if len(codes) < count:
        raise bad(frame.path, f"is truncated: {len(codes):,} of {count:,} values", "copy or download it again")
    shaped: Codes = layout.used(codes.astype(layout.dtype, copy=False)).reshape(1, layout.rows, layout.columns)
    return shaped


def decoded(frame: Frame, layout: Layout, index: int | None) -> Codes:
    """The frame of a file at an index, or all of its frames: frames,samples,rows,columns."""
    from pydicom.pixels.utils import pixel_array

    with quietly(frame.path):
        try:
            source = dataset(frame.path, deferred=False)  # by its path alone, pydicom reads no deflated file
            is_single = layout.samples == 1
            plugin = PLUGINS.get(frame.syntax, "") if is_single else ""
            found: Codes = pixel_array(source, index=index, raw=is_single, decoding_plugin=plugin)
        except RuntimeError as error:  # no decoder, or none of those that are installed took it
            raise undecoded(frame.path, frame.syntax, str(error).splitlines()[-1].strip()) from error
        codes = found.reshape(-1, layout.rows, layout.columns, layout.samples).transpose(0, 3, 1, 2)
        return codes.astype(layout.dtype, copy=False)


def check_decoder(frame: Frame) -> None:
    """Raises DataError, which says what to install, when nothing installed can decode a frame."""
    from pydicom.pixels.decoders.base import get_decoder

    with quietly(frame.path):
        if frame.begins < 0 and not get_decoder(frame.syntax).is_available:
            raise undecoded(frame.path, frame.syntax, "no decoder for them is installed")


def undecoded(path: Path, syntax: str, cause: str) -> DataError:
    """The error of pixels that nothing decodes, with what may help."""
    from pydicom.uid import UID

    said = f"its pixels are {UID(syntax).name}: {cause}"
    if any(importlib.util.find_spec(module) is None for module in DECODERS):
        return DataError(f"{path}: {said}", fix="pip install 'i2i-forge[dicom-codecs]'")
    return bad(path, said, "write it uncompressed by the program that made it, or by dcmdjpeg of DCMTK")
