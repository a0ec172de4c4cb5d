"""Packing: a plan becomes a folder that is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data.packs.manifest import INDEX, MANIFEST, Manifest, PartOf, Seal, Shard, write_manifest
from i2i_forge.data.packs.plan import PackPlan
from i2i_forge.data.packs.table import ALONE, LARGEST_IMAGE, LONGEST_NAME, ROW, Rows, write_table
from i2i_forge.errors import FULL, DataError, ForgeError, ResourceError, UsageError
from i2i_forge.system.files import open_to_read, sync, take_lock
from i2i_forge.system.outputs import refuse_to_fill

SHARD_BYTES = 256_000_000
BLOCK = tarfile.BLOCKSIZE
Progress = Callable[[int, int], None]  # images packed, of how many
Span = tuple[int, int, int, int]  # shard, offset, length, CRC-32


def pack(
    plan: PackPlan, out: Path, *, shard_bytes: int = SHARD_BYTES, progress: Progress = lambda done, total: None
) -> Manifest:
    """Write the images of a plan to a new folder.

    They go to a hidden folder beside it, every file is synced, and that is renamed once. The same images give the same
    bytes.

    Args:
        out: must not exist, or be empty; a link is followed.
        shard_bytes: about how long a shard is.

    Raises:
        DataError: an image cannot be read any more.
        ResourceError: the disk is full.
        UsageError: there is something at `out`, it cannot be written, or another process packs to it.
    """
    out = Path(os.path.realpath(out))  # "." has no name, and a link would be replaced instead of what it points at
    try:
        refuse_what_is_there(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with _hidden(out) as folder:
            _need_room(folder, plan)
            manifest = _write(plan, folder, shard_bytes, progress)
            folder.replace(out)
    except OSError as error:
        raise _disk_error(out, error) from error
    return manifest


def refuse_what_is_there(out: Path) -> None:
    """Raises UsageError unless `out` is free or an empty folder that another can take the place of."""
    place = Path(os.path.realpath(out))
    if os.path.ismount(place) or place == Path.cwd():
        what = "a disk is mounted there" if os.path.ismount(place) else "it is the working directory"
        raise UsageError(f"--out {out}: {what}, and it cannot be exchanged", fix=f"name a folder below: {out / 'pack'}")
    refuse_to_fill(out)


def _write(plan: PackPlan, folder: Path, shard_bytes: int, progress: Progress) -> Manifest:
    rows, parts, names = _described(plan)
    done = 0
    with ShardWriter(folder, shard_bytes) as writer:
        for prefix, number, sample in _samples(plan, parts):
            # not the name of a user's file: it may have dots, which mean something here, and letters no tar can hold
            members = [(f"{number:09d}.{end}{path.suffix[1:].lower()}", _read(path)) for _, end, path in sample]
            placed = [row for row, _, _ in sample]
            for row, place in zip(placed, writer.add(prefix, members), strict=True):
                rows["shard"][row], rows["offset"][row], rows["length"][row], rows["crc"][row] = place
            if len(placed) == 2:
                rows["partner"][placed] = placed[::-1]
            progress(done := done + len(sample), len(plan))
    index = Seal(*write_table(folder / INDEX, rows, names))
    manifest = Manifest(plan.layout, bool(plan.partners), len(plan), parts, writer.shards, index)
    write_manifest(folder / MANIFEST, manifest)
    for path in (folder / INDEX, folder / MANIFEST, folder):
        sync(path)
    return manifest


def _described(plan: PackPlan) -> tuple[Rows, dict[str, PartOf], list[bytes]]:
    """What is known before anything is packed: the rows without places, where each part begins, and the names."""
    rows, parts, first = np.zeros(len(plan), ROW), {}, 0
    for role, part in plan.parts.items():
        parts[role] = PartOf(_relative(part.folder, plan.root), first, len(part.images))
        mine = rows[first : first + len(part.images)]
        mine["width"], mine["height"], mine["partner"] = part.sizes[:, 0], part.sizes[:, 1], ALONE
        first += len(part.images)
    paths = (path for part in plan.parts.values() for path in part.images)
    return rows, parts, [os.fsencode(_relative(path, plan.root))[-LONGEST_NAME:] for path in paths]


def _samples(plan: PackPlan, parts: dict[str, PartOf]) -> Iterator[tuple[str, int, list[tuple[int, str, Path]]]]:
    """(name of the shards, number, sample), a sample as (row, what its ending begins with, path) of its members."""
    for split, partners in plan.partners.items():
        a, b = f"{split}_a", f"{split}_b"
        for place, other in enumerate(partners.tolist()):
            yield split, place, [(parts[a].first + place, "a.", plan.parts[a].images[place]),
                                 (parts[b].first + other, "b.", plan.parts[b].images[other])]  # fmt: skip
    for role, part in plan.parts.items() if not plan.partners else ():
        for place, path in enumerate(part.images):
            yield role.replace("_", "-"), place, [(parts[role].first + place, "", path)]


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _read(path: Path) -> bytes:
    try:
        with open_to_read(path) as file:
            data = file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        cause = f"{path}: cannot be read: {error.strerror or error}"
        raise DataError(cause, fix="correct the permissions or remove it, and run the same command again") from error
    if len(data) > LARGEST_IMAGE:
        raise DataError(f"{path}: is longer than 1 GB", fix="make it smaller, or remove it")
    return data


@contextmanager
def _hidden(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, for this process alone; what is left of it in the end is removed."""
    folder = out.with_name(f".{out.name}.packing")
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as leaving:
        leaving.callback(os.close, lock := os.open(folder, os.O_RDONLY))
        if not take_lock(lock):
            raise UsageError(f"{out}: another process is packing to it", fix="wait for that one")
        leaving.callback(shutil.rmtree, folder, ignore_errors=True)
        for left in folder.iterdir():  # by a process that was killed
            left.unlink()
        yield folder


def _need_room(folder: Path, plan: PackPlan) -> None:
    needed, free = 0, shutil.disk_usage(folder).free
    for part in plan.parts.values():
        for path in part.images:
            with contextlib.suppress(OSError):  # reading it will say so
                needed += path.stat().st_size + 1024
    if needed > free:
        raise ResourceError(
            f"{folder.parent}: the pack needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB",
            fix="free disk space, or choose another --out",
        )


def _disk_error(out: Path, error: OSError) -> ForgeError:
    if error.errno in FULL:
        return ResourceError(
            f"{out} cannot be written: {error.strerror}; nothing is left of it",
            fix="free disk space, or choose another --out, and run the same command again",
        )
    return UsageError(f"{out} cannot be written: {error.strerror or error}", fix="name another folder: --out DIR")


class ShardWriter:
    """Samples to NAME-000000.tar, NAME-000001.tar, ... The same members give the same bytes.

    Args:
        folder: where the shards go.
        limit: bytes after which the next shard begins; a sample is never divided.

    Attributes:
        shards: those that are complete, of all names.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.shards: list[Shard] = []
        self._prefix, self._number = "", 0
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is None:
            self._finish()
        elif self._tar is not None:
            self._file.raw.close()  # what is buffered will not be needed

    def add(self, prefix: str, members: Sequence[tuple[str, bytes]]) -> list[Span]:
        """Write the members of one sample to a shard of this name; returns where each lies."""
        needed = sum(BLOCK + len(data) + -len(data) % BLOCK for _, data in members)
        if prefix != self._prefix or (self._tar and self._tar.offset + needed + 2 * BLOCK > self.limit):
            self._finish()
        if prefix != self._prefix:
            self._prefix, self._number = prefix, 0
        if self._tar is None:
            self._file = _Digesting(self.folder / f"{prefix}-{self._number:06d}.tar")
            self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)
        tar = self._tar
        places = []
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            places.append((len(self.shards), tar.offset + BLOCK, len(data), zlib.crc32(data)))
            tar.addfile(info, io.BytesIO(data))
            tar.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
        return places

    def _finish(self) -> None:
        if self._tar is None:
            return
        self._tar.close()
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
            self.shards.append(Shard(file.path.name, file.tell(), file.digest.hexdigest()))
        self._tar, self._number = None, self._number + 1


class _Digesting(io.BufferedWriter):
    """A new file that knows the SHA-256 of what was written to it, which is not read again."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "xb"))
        self.path, self.digest = path, hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return super().write(data)
