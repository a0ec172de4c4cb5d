"""Files of other programs. Read with `weights_only=True` and never otherwise: a pickle can run code."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from i2i_forge.errors import CheckpointError
from i2i_forge.system.files import LARGEST_TENSORS, one_line, open_to_read, read_bytes
from i2i_forge.system.tensor_files import looks_like_tensors, read_tensors

TORCH = re.compile(rb"PK\x03\x04|\x80[\x02-\x05]")  # its files now, and those before 1.6
KINDS = (  # how a file begins -> what it is; a file that is none of torch's
    (rb"\s*<", "HTML: the answer of a web server"),
    (rb"\x80[\x02-\x05](?!\x8a\nl\xfc)", "a pickle that torch did not write"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc|\x28\xb5\x2f\xfd", "a compressed archive, which must be unpacked first"),
    (rb"\x89HDF", "HDF5"),
    (rb"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (rb"\s*[\[{\"]", "JSON"),
    (rb"[\t\r\n -~]+$", "text"),
)


def read_foreign(file: str | Path) -> Any:
    """The content of a `.pt`, `.pth` or `.safetensors` file: nested dicts and tensors, on the CPU.

    Raises CheckpointError.
    """
    file = Path(file)
    if not file.exists():
        raise CheckpointError(f"{file}: there is no such file", fix="check the path; of a run, give its folder")
    try:
        with open_to_read(file, LARGEST_TENSORS) as opened:
            start = opened.read(64)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}", fix="see its permissions") from error
    try:
        if looks_like_tensors(start):
            return read_tensors(read_bytes(file, LARGEST_TENSORS))
        if not TORCH.match(start):  # torch would try old archives too, which it unpacks
            raise ValueError(f"it begins {start[:12]!r}" if start else "the file is empty")
        if zipfile.is_zipfile(file) and any(part.compress_type for part in zipfile.ZipFile(file).infolist()):
            raise ValueError("its parts are compressed, as torch writes none: they may be as large as they like")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle's versions: the file is read, or refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle makes its reader stumble over
        asked = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        kind = next((kind for begin, kind in KINDS if re.match(begin, start)), "")
        if kind and not asked and not looks_like_tensors(start):
            raise CheckpointError(f"{file}: not a checkpoint, it looks like {kind}", fix="download it again") from None
        why = f"it asks for {one_line(asked[1])}, which is no tensor" if asked else _reason(error)
        raise CheckpointError(
            f"{file}: not a checkpoint that can be read safely ({why})",
            fix="only files of plain tensors are read; ask for a state_dict, or download it again",
        ) from None


def _reason(error: Exception) -> str:
    """Why a file was refused; torch's own text advises to switch the guard off."""
    if "weights only" in (text := str(error)).lower().replace("_", " "):
        return "it holds more than plain tensors"
    return one_line((text.splitlines() or [type(error).__name__])[0][:120])
