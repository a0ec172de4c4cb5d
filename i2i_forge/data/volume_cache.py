"""Decoded volumes: raw arrays in the user's cache, each written once and mapped by every process that reads it.

A file that is raw is mapped where it lies. Others that hold more than one plane are decoded once into
`volumes/KEY.npy`, named by path, size and times; a file there that is damaged is decoded again.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import shutil
from collections.abc import Callable, Sequence
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
    return stored.array() if found is None else found  # another process may have removed it


def facts(files: Sequence[Stored], what: object, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Numbers that are computed of files once, and kept as long as none of them changes; of no file, each time.

    Args:
        files: all that the numbers depend on.
        what: which ones, and what else they depend on.
    """
    if not all(stored.stamps() for stored in files):
        return compute()
    key = hashlib.sha256(repr((what, [_key(stored) for stored in files])).encode()).hexdigest()[:32]
    file = cache_dir() / "volumes" / f"{key}.facts.npy"
    try:
        return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError):
        found = compute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(file, shared=True) as part, part.open("xb") as opened:
            np.save(opened, found, allow_pickle=False)
    except OSError as error:
        log.debug("what was found in %s is not kept: %s", files[0].path, error)
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
    is_ours = (found.shape, found.dtype.name) == (stored.header.shape, stored.header.dtype) and found.flags.c_contiguous
    return found if is_ours else None


def _write(file: Path, stored: Stored) -> None:
    array = np.ascontiguousarray(stored.array())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(file.parent).free
        if free < array.nbytes:
            raise OSError(errno.ENOSPC, f"{array.nbytes / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB free")
        with made_whole(file, shared=True) as part, part.open("xb") as opened:
            np.save(opened, array, allow_pickle=False)
    except OSError as error:
        raise ResourceError(
            f"{stored.path} cannot be kept uncompressed in {file.parent}: {error.strerror or error}",
            fix="set FORGE_CACHE to a folder on another disk, or say data.cache: none",
        ) from error
