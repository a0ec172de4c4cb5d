"""Promises of formats of image files."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data import BadImage, Codes, Header, Stored
from i2i_forge.errors import DataError
from i2i_forge.testing.subject import Subject, described

ROWS, COLUMNS = 11, 13
TRIED = [  # what a format is asked to write; it may refuse some
    Header(ROWS, COLUMNS, axes=axes, dtype=dtype)
    for axes in ((), (("z", 3),))
    for dtype in ("uint8", "uint16", "int16", "float32")
]
KEPT = ("rows", "columns", "channels", "axes", "dtype", "slope", "offset")  # of a header that is written
PARTS = (0.5, 0.9)  # of a file that are left of it


def _codes(header: Header) -> Codes:
    """Numbers of the type's whole range, which do not compress."""
    random = np.random.default_rng(0)
    if header.dtype == "float32":
        return random.normal(size=header.shape).astype(np.float32)
    about = np.iinfo(header.dtype)
    return random.integers(about.min, about.max, header.shape, header.dtype, endpoint=True)


def _files(subject: Subject) -> Iterator[tuple[str, Codes, Stored]]:
    """What it writes of TRIED, with the name that messages give it; each lies in a folder until the next is asked for.

    Raises:
        DataError: it refuses all of them.
    """
    made, refusals = subject.build(), []
    for header in TRIED:
        codes = _codes(header)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"tried{made.endings[0]}"
            try:
                made.write(path, codes, header, None)
            except DataError as error:
                refusals.append(error)
                continue
            yield f"a file of {header.dtype} {header.shape}", codes, made.open(path)
    if len(refusals) == len(TRIED):
        raise refusals[0]


def runs(subject: Subject) -> Iterator[str]:
    """It says what its names end in and what it needs, and writes and reads an image of one channel."""
    made = subject.build()
    if not made.endings or any(not ending.startswith(".") or ending != ending.lower() for ending in made.endings):
        yield f"`endings` is {made.endings}: write lower-case endings, each with its dot"
        return
    if not all(isinstance(extra, str) for extra in dict(made.needs).values()):
        yield f"`needs` is {made.needs}: write import name -> extra"
    if not hasattr(made, "write"):
        yield "it has no `write`, so it is not tried: say so in CHECKS, {NAME: {'skip': {'runs': 'it is not written'}}}"
        return
    try:
        list(_files(subject))
    except Exception as error:
        yield f"it does not write and read an image of one channel: {described(error)}"


def knows_its_own(subject: Subject) -> Iterator[str]:
    """It knows its files by their first bytes, and no others."""
    made = subject.build()
    for where, _, stored in _files(subject):
        head = b"" if stored.path.is_dir() else stored.path.read_bytes()[:512]
        if not made.sniff(head, stored.path):
            yield f"`sniff` does not know {where} that it wrote"
    for head in (b"", b"hello\n", bytes(512), b"\xff" * 512):
        if made.sniff(head, Path("image")):
            yield f"`sniff` takes a file that begins {head[:6]!r}"


def header_is_true(subject: Subject) -> Iterator[str]:
    """What its header says holds for its codes."""
    for where, _, stored in _files(subject):
        header, found = stored.header, stored.array()
        if found.shape != header.shape or found.dtype != np.dtype(header.dtype):
            yield f"the header of {where} says {header.dtype} {header.shape}, its codes are {found.dtype} {found.shape}"
        if header.is_raw and not _is_mapped(found):
            yield f"the header of {where} says `is_raw`, but its codes are no map of the file"


def _is_mapped(codes: Any) -> bool:
    while codes is not None and not isinstance(codes, np.memmap):
        codes = getattr(codes, "base", None)
    return codes is not None


def regions(subject: Subject) -> Iterator[str]:
    """A region that it reads is a slice of the whole."""
    for where, _, stored in _files(subject):
        whole, axes = stored.array(), stored.header.axes
        for place in np.ndindex(*(length for _, length in axes)):
            at = {name: index for (name, _), index in zip(axes, place, strict=True)}
            for rows, columns in ((slice(None), slice(None)), (slice(2, 7), slice(1, None, 3))):
                if not np.array_equal(stored.read(at, rows, columns), whole[place][:, rows, columns]):
                    yield f"`read` of {where} at {at}, {rows}, {columns} differs from `array`"
                    return


def comes_back(subject: Subject) -> Iterator[str]:
    """What it writes it reads again, code for code, also when it writes a file like another."""
    made = subject.build()
    for where, codes, stored in _files(subject):
        again = stored.path.with_name(f"again{made.endings[0]}")
        made.write(again, stored.array(), stored.header, stored)
        wanted = Header(ROWS, COLUMNS, axes=tuple(stored.header.axes), dtype=codes.dtype.name)
        for said, found in ((where, stored), (f"{where} written like itself", made.open(again))):
            if not np.array_equal(found.array().reshape(codes.shape), codes):
                yield f"the codes of {said} do not come back"
            if lost := [name for name in KEPT if getattr(found.header, name) != getattr(wanted, name)]:
                yield f"the header of {said} comes back with {_shown(found.header, lost)}"


def _shown(header: Header, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(header, name)}" for name in names)


def goes_to_workers(subject: Subject) -> Iterator[str]:
    """An open file can be pickled for the processes that prepare batches, and gives the same there."""
    for where, codes, stored in _files(subject):
        try:
            sent = pickle.loads(pickle.dumps(stored))
        except Exception as error:
            yield f"{where} cannot be pickled once it is opened: {described(error)}"
            return
        if sent.header != stored.header or not np.array_equal(sent.array().reshape(codes.shape), codes):
            yield f"{where} gives other codes after pickling"


def damage_is_found(subject: Subject) -> Iterator[str]:
    """A file that was cut off is refused with BadImage, by its header or when it is read."""
    made = subject.build()
    for where, _, stored in _files(subject):
        files = [file for file in [stored.path, *stored.path.rglob("*")] if file.is_file()]
        largest = max(files, key=lambda file: file.stat().st_size)
        whole = largest.read_bytes()
        for part in PARTS:
            largest.write_bytes(whole[: int(part * len(whole))])
            try:
                made.open(stored.path).array()
            except BadImage:
                continue
            except Exception as error:
                yield f"{where}, cut to {part:.0%}, ends in {described(error)}; raise BadImage"
            else:
                yield f"{where}, cut to {part:.0%}, is read as if it were whole"


CHECKS = (knows_its_own, header_is_true, regions, comes_back, goes_to_workers, damage_is_found)
