"""Decoded volumes: raw arrays in the user's cache, each written once and mapped by every process that reads it.

A file that is raw is mapped where it lies. Others that hold more than one plane are decoded once into
`volumes/KEY.npy`, named by path, size and times; a file there that is damaged is decoded again.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from i2i_forge.data.stored import Codes, Stored
from i2i_forge.errors import ResourceError
from i2i_forge.system.files import cache_dir, made_whole

log = logging.getLogger("i2i_forge")
Kept = Literal["disk", "none"]
VERSION = "1"


def kept(stored: Stored, cache: Kept) -> Codes:
    """All codes of a file.

    Args:
        cache: "disk" keeps what had to be decoded as a file that is mapped, "none" does not.

    Raises:
        BadImage: it cannot be decoded.
        ResourceError: the disk of the cache has no room for it.
    """
    if cache == "none" or stored.header.is_raw or math.prod(length for _, length in stored.header.axes) == 1:
        return stored.array()
    file = cache_dir() / "volumes" / f"{_key(stored)}.npy"
    if (found := _mapped(file, stored)) is None:
        _write(file, stored)
        found = _mapped(file, stored)
    return stored.array() if found is None else found


def facts(stored: Stored, what: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Numbers that are computed of a file once, and kept as long as it does not change; of no file, each time.

    Args:
        what: which ones; a part of a file's name.
    """
    if not stored.stamps():
        return compute()
    file = cache_dir() / "volumes" / f"{_key(stored)}.{what}.npy"
    try:
        return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError):
        found = compute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(file, shared=True) as part, part.open("xb") as opened:
            np.save(opened, found, allow_pickle=False)
    except OSError as error:
        log.debug("what was found in %s is not kept: %s", stored.path, error)
    return found


def _key(stored: Stored) -> str:
    return hashlib.sha256(repr((VERSION, stored.header, stored.stamps())).encode()).hexdigest()[:32]


def _mapped(file: Path, stored: Stored) -> Codes | None:
    """The array in a file of the cache, if it is whole and that of the header."""
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        log.debug("%s cannot be used: %s", file, error)
        return None
    return found if (found.shape, found.dtype.name) == (stored.header.shape, stored.header.dtype) else None


def _write(file: Path, stored: Stored) -> None:
    size = math.prod(stored.header.shape) * np.dtype(stored.header.dtype).itemsize
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(file.parent).free < size:
            raise _full(size, file)
        with made_whole(file, shared=True) as part, part.open("xb") as opened:
            np.save(opened, np.ascontiguousarray(stored.array()), allow_pickle=False)
    except OSError as error:
        log.debug("%s is not kept: %s", stored.path, error)


def _full(size: int, file: Path) -> ResourceError:
    free = shutil.disk_usage(file.parent).free
    return ResourceError(
        f"a volume takes {size / 2**30:.1f} GiB uncompressed, {free / 2**30:.1f} GiB are free in {cache_dir()}",
        fix="set FORGE_CACHE to a folder on another disk, or say data.cache: none",
    )
