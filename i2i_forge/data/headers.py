"""The headers of very many images, each read once as long as its file does not change.

What they said is kept in the user's cache: a file for each folder (or list file and folder of its names), named after
real paths. A header counts as known while size, time of change and time of status change of the image are what they
were when it was read. Only good images are kept: what is wrong with a file is found anew each time, for it may be
mended without leaving a trace (permissions, a mount). A file of the cache that is damaged is as if it were not there.
"""
# A Path object for each file would cost more than to ask for it.
# ruff: noqa: PTH116, PTH123

from __future__ import annotations

import hashlib
import logging
import os
import resource
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from i2i_forge.data.decode import check_header, check_jpeg_header
from i2i_forge.data.folders import SHOWN
from i2i_forge.data.path_list import Names, Paths
from i2i_forge.errors import DataError
from i2i_forge.system.files import cache_dir, made_whole

log = logging.getLogger("i2i_forge")
VERSION = f"2, Pillow {PIL.__version__}"  # another Pillow may refuse other files
MANY = 1000  # files from which on it is worth keeping what they say
CHUNK = 500  # files
AT_ONCE = 8  # threads, where files make us wait: what is read from memory takes several threads longer than one
WAITING = 0.5  # times that a file makes us wait
HEAD = 16 * 1024  # bytes
NOTE_AFTER, NOTE_EVERY = 5.0, 30.0  # seconds


@dataclass
class Headers:
    """What the headers of some files say.

    Attributes:
        sizes: int32 N,2: width and height of each; 0 where it cannot be used.
        errors: what is wrong with the first SHOWN that cannot be used, by place.
    """

    sizes: NDArray[np.int32]
    errors: dict[int, DataError] = field(default_factory=dict)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which can be used."""
        return self.sizes[:, 0] > 0


def read_headers(paths: Paths) -> Headers:
    """The headers of all files; none that is known from before and unchanged is opened."""
    keep = paths.origin is not None and len(paths.names) >= MANY
    index, is_kept = _read_index(paths) if keep else (_Index.empty(paths.names), False)
    errors: dict[int, DataError] = {}
    done = 0
    began = said = time.monotonic()
    for count, wrong, is_new in _chunks(paths, index):
        errors |= dict(wrong[: SHOWN - len(errors)])
        done += count
        is_kept &= not is_new
        now = time.monotonic()
        if now - said >= (NOTE_AFTER if said == began else NOTE_EVERY) and done < len(paths):
            said = now
            log.warning("reading the headers of %s images: %s are done", f"{len(paths):,}", f"{done:,}")
    if keep and not is_kept:
        _write_index(paths, index)
    return Headers(index.sizes if paths.places is None else index.sizes[paths.places], errors)


Outcome = tuple[int, list[tuple[int, DataError]], bool]  # of a chunk: files, what is wrong with which, anything new


def _chunks(paths: Paths, index: _Index) -> Iterator[Outcome]:
    starts, read = iter(range(0, len(paths), CHUNK)), partial(_read_chunk, paths, index)
    for start in starts:
        before = _waits()
        outcome = read(start)
        waits = _waits() - before
        yield outcome
        if waits >= WAITING * outcome[0]:
            break
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="headers")  # starts none before it has work
    try:
        yield from pool.map(read, starts)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for all of them


def _waits() -> int:
    """How often this thread gave the processor away by itself: a count that other programs do not change."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


def _read_chunk(paths: Paths, index: _Index, start: int) -> Outcome:
    """Bring the index up to date for some files."""
    stop = min(start + CHUNK, len(paths))
    places = np.arange(start, stop) if paths.places is None else paths.places[start:stop]
    texts = [paths.text(number) for number in range(start, stop)]
    stamps = np.array([_stamp(path) for path in texts], np.int64)
    stale = (index.stamps[places] != stamps).any(1) | (index.sizes[places, 0] == 0)
    wrong: list[tuple[int, DataError]] = []
    is_new = False
    for offset in np.flatnonzero(stale).tolist():
        try:
            index.sizes[places[offset]] = _size(texts[offset], stamps[offset, 0] > 0)
            is_new = True
        except DataError as error:
            index.sizes[places[offset]] = 0
            if len(wrong) < SHOWN:
                wrong.append((start + offset, error))
    index.stamps[places] = stamps
    return stop - start, wrong, is_new


def _stamp(path: str) -> tuple[int, int, int]:
    """What changes when the file does; taken before it is read, so that a change meanwhile shows."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (-1, -1, -1)
    if not stat.S_ISREG(status.st_mode):
        return (-1, -1, -1)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _size(path: str, is_file: bool) -> tuple[int, int]:
    if is_file:
        with suppress(OSError), open(path, "rb", buffering=0) as file:
            if found := check_jpeg_header(file.read(HEAD)):
                return found
    return check_header(path)


@dataclass(frozen=True)
class _Index:
    """The headers of named files.

    Attributes:
        stamps: int64 N,3: size in bytes, times of change and of status change in nanoseconds.
        sizes: int32 N,2: width and height; 0 where nothing is known.
    """

    names: Names
    stamps: NDArray[np.int64]
    sizes: NDArray[np.int32]

    @classmethod
    def empty(cls, names: Names) -> _Index:
        """Nothing is known of any file."""
        return cls(names, np.full((len(names), 3), -1), np.zeros((len(names), 2), np.int32))


def _read_index(paths: Paths) -> tuple[_Index, bool]:
    """What is known of the files in `paths.names`, in their order; and whether just this is what the cache holds."""
    kept = _kept(_file(paths))
    if kept is None:
        return _Index.empty(paths.names), False
    if kept.names == paths.names:
        return _Index(paths.names, kept.stamps, kept.sizes), True
    index, places = _Index.empty(paths.names), {name: place for place, name in enumerate(kept.names)}
    here, there = [], []
    for place, name in enumerate(paths.names):
        if (old := places.get(name)) is not None:
            here.append(place)
            there.append(old)
    index.stamps[here], index.sizes[here] = kept.stamps[there], kept.sizes[there]
    return index, False


def _kept(file: Path) -> _Index | None:
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:  # each has a checksum
            if arrays["version"].item() != VERSION:
                return None
            text, ends, stamps, sizes = (arrays[name] for name in ("text", "ends", "stamps", "sizes"))
            kinds = [(array.dtype, array.shape) for array in (ends, stamps, sizes)]
            if kinds != [(np.int64, (len(ends),)), (np.int64, (len(ends), 3)), (np.int32, (len(ends), 2))]:
                raise ValueError("arrays that do not fit each other")
            return _Index(Names.of_block(text.tobytes(), ends), stamps, sizes)
    except Exception as error:  # a damaged file raises nearly anything
        if not isinstance(error, FileNotFoundError):
            log.debug("the headers in %s cannot be used: %s", file, error)
        return None


def _write_index(paths: Paths, index: _Index) -> None:
    """Keep it for the next time, if the cache can be written. Whoever reads meanwhile finds the old one or this one."""
    file = _file(paths)
    text = np.frombuffer(index.names.text, np.uint8)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(file, shared=True) as part, part.open("xb") as opened:
            np.savez(opened, version=VERSION, text=text, ends=index.names.ends, stamps=index.stamps, sizes=index.sizes)
    except OSError as error:
        log.debug("the headers of %s are not kept: %s", paths.origin, error)


def _file(paths: Paths) -> Path:
    assert paths.origin is not None
    places = [os.fsencode(Path(place).resolve()) for place in (paths.origin, paths.prefix)]
    key = hashlib.sha256(b"\0".join(places)).hexdigest()
    return cache_dir() / "headers" / f"{key[:32]}.npz"
