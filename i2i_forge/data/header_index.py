"""What the headers of a data set's images said, kept in the user's cache, so that they are not read at every start.

A file for each folder (or list file and folder of its names), named after real paths. A header counts as known while
size, time of change and time of status change of the image are what they were when it was read. Only good images are
kept: what is wrong with a file is found anew each time, for it may be mended without leaving a trace (permissions, a
mount).

Whatever is wrong with a file of the cache, it is as if it were not there.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from i2i_forge.data.path_list import Names, Paths
from i2i_forge.system.files import cache_dir, made_whole

log = logging.getLogger("i2i_forge")
VERSION = f"2, Pillow {PIL.__version__}"  # another Pillow may refuse other files


@dataclass(frozen=True)
class Index:
    """The headers of named files.

    Attributes:
        stamps: int64 N,3: size in bytes, times of change and of status change in nanoseconds.
        sizes: int32 N,2: width and height; 0 where nothing is known.
    """

    names: Names
    stamps: NDArray[np.int64]
    sizes: NDArray[np.int32]

    @classmethod
    def empty(cls, names: Names) -> Index:
        """Nothing is known of any file."""
        return cls(names, np.full((len(names), 3), -1), np.zeros((len(names), 2), np.int32))


def read_index(paths: Paths) -> tuple[Index, bool]:
    """What is known of the files in `paths.names`, in their order; and whether just this is what the cache holds."""
    kept = _kept(_file(paths))
    if kept is None:
        return Index.empty(paths.names), False
    if kept.names == paths.names:
        return Index(paths.names, kept.stamps, kept.sizes), True
    index, places = Index.empty(paths.names), {name: place for place, name in enumerate(kept.names)}
    here, there = [], []
    for place, name in enumerate(paths.names):
        if (old := places.get(name)) is not None:
            here.append(place)
            there.append(old)
    index.stamps[here], index.sizes[here] = kept.stamps[there], kept.sizes[there]
    return index, False


def _kept(file: Path) -> Index | None:
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:  # each has a checksum
            if arrays["version"].item() != VERSION:
                return None
            text, ends, stamps, sizes = (arrays[name] for name in ("text", "ends", "stamps", "sizes"))
            kinds = [(array.dtype, array.shape) for array in (ends, stamps, sizes)]
            if kinds != [(np.int64, (len(ends),)), (np.int64, (len(ends), 3)), (np.int32, (len(ends), 2))]:
                raise ValueError("arrays that do not fit each other")
            return Index(Names.of_block(text.tobytes(), ends), stamps, sizes)
    except Exception as error:  # a damaged file raises nearly anything
        if not isinstance(error, FileNotFoundError):
            log.debug("the headers in %s cannot be used: %s", file, error)
        return None


def write_index(paths: Paths, index: Index) -> None:
    """Keep it for the next time, if the cache can be written. Whoever reads meanwhile finds the old one or this one."""
    file = _file(paths)
    text = np.frombuffer(index.names.text, np.uint8)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(file, shared=True) as partial, partial.open("xb") as part:
            np.savez(part, version=VERSION, text=text, ends=index.names.ends, stamps=index.stamps, sizes=index.sizes)
    except OSError as error:
        log.debug("the headers of %s are not kept: %s", paths.origin, error)


def _file(paths: Paths) -> Path:
    assert paths.origin is not None
    places = [os.fsencode(Path(place).resolve()) for place in (paths.origin, paths.prefix)]
    key = hashlib.sha256(b"\0".join(places)).hexdigest()
    return cache_dir() / "headers" / f"{key[:32]}.npz"
