"""What every file must be before it is read as an image: there, regular, not empty, of a sensible size."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.errors import DataError, ForgeError
from i2i_forge.system.files import one_line

MAX_PIXELS = 64 * 1024 * 1024  # of one plane
LONGEST = 400  # characters of a cause, which may quote a file
MAX_CODES = 2**32  # of one file
NUMBERS = "biuf"  # kinds of NumPy's numbers that may be codes: bool, signed, unsigned, float


class BadImage(DataError):
    """What was read is no image that can be used: this depends on its bytes alone, so it stays as it is.

    That bytes could not be read at all (a disk, a network, a checksum) is another DataError.
    """


def bad(path: object, cause: str, fix: str, kind: type[DataError] = BadImage) -> DataError:
    """An error that names the file."""
    return kind(f"{one_line(str(path))}: {one_line(cause)[:LONGEST]}", fix=fix)


def check_file(path: str | Path) -> int:
    """The size in bytes of a regular file that is not empty; else raises DataError or BadImage."""
    # stat before open: opening a fifo would block for ever
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        cause = "is a link to a missing file" if Path(path).is_symlink() else "does not exist"
        raise bad(path, cause, "correct the path, or remove the entry", DataError) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise bad(path, f"cannot be read: {reason}", "correct the path or the permissions", DataError) from error
    if not stat.S_ISREG(status.st_mode):
        raise bad(path, "is not a regular file", "name an image file, or remove the entry", DataError)
    if status.st_size == 0:
        raise bad(path, "is empty (0 bytes)", "copy or download it again, or remove it")
    return status.st_size


def check_type(path: Path, dtype: np.dtype[Any]) -> str:
    """The name of a type of codes, in native byte order. Raises BadImage where these are no real numbers."""
    if dtype.kind not in NUMBERS or dtype.itemsize > 8:
        raise bad(path, f"holds values of type {dtype}, which are no real numbers", "write numbers")
    return dtype.newbyteorder("=").name


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Whatever a library raises inside the block becomes a BadImage, or a DataError where the disk failed."""
    try:
        yield
    except (ForgeError, MemoryError):
        raise
    except Exception as error:  # damaged files raise nearly anything: OSError, SyntaxError, ValueError, struct.error
        cause = f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        failed = isinstance(error, OSError) and error.errno is not None  # the disk; those of libraries have no number
        kind = DataError if failed else BadImage
        raise bad(path, cause, "copy or download it again, or remove it", kind) from error
