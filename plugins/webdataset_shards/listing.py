"""What shards hold, known before training: from the pack they belong to, or found out once by reading them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data.packs.table import ALONE, ROW, Rows, Table, write_table
from i2i_forge.errors import DataError

from .cache import ShardCache, locked, short
from .patterns import LOCAL, scheme
from .scanning import Member, samples

log = logging.getLogger("i2i_forge")
Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Listing:
    """Shards with their samples.

    Attributes:
        addresses, sizes, sha256: of each shard; a checksum is "" where it is not known.
        numbers: what each shard is called in the table.
        table: rows of images, each with that of its partner.
        firsts: the row of each shard's first sample; its further samples follow.
        counts: how many samples each shard has.
        notes: of shards that were read to find this out, the files where it is written.
    """

    addresses: list[str]
    numbers: Numbers
    sizes: list[int]
    sha256: list[str]
    table: Table
    firsts: Numbers
    counts: Numbers
    notes: dict[int, list[Path]] = field(default_factory=dict)

    def forget(self, shard: int) -> None:
        """A shard elsewhere is not what is known of it: the next time it is read anew."""
        for file in self.notes.get(shard, ()):
            file.unlink(missing_ok=True)


def counted(addresses: Sequence[str], endings: tuple[str, ...], cache: ShardCache) -> Listing:
    """Read each shard once, and remember what it holds.

    Args:
        endings: of the images of a sample; see `scanning.samples`.

    Raises:
        DataError: a shard cannot be fetched, is damaged, or has no such samples.
    """
    folder = cache.folder / "listings"
    keys = [short(*_identity(address), *endings) for address in addresses]
    missing = [address for address, key in zip(addresses, keys, strict=True) if not (folder / f"{key}.json").is_file()]
    if missing:
        log.warning("%d shards have no index of `forge data pack`: each is read once now", len(missing))
    facts = [_facts(address, folder / key, endings, cache) for address, key in zip(addresses, keys, strict=True)]
    index = folder / f"{short(*keys)}.bin"
    with locked(index.with_suffix(".lock")):
        sizes = [fact["bytes"] for fact in facts]
        if not index.is_file():
            files = {folder / f"{key}.bin": size for key, size in zip(keys, sizes, strict=True)}
            _merge(files, len(endings), index)
        table = Table(index, sizes, _again(folder))
    counts = np.array([fact["samples"] for fact in facts], np.int64)
    if len(table) != counts.sum() * len(endings):
        raise DataError(f"{index} does not fit the shards it is of", fix=_again(folder))
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    notes = {
        shard: [folder / f"{key}.json", folder / f"{key}.bin", index]
        for shard, (address, key) in enumerate(zip(addresses, keys, strict=True))
        if scheme(address) != LOCAL  # of a path, its time of change is part of the key: otherwise it is damaged
    }
    return Listing(list(addresses), np.arange(len(addresses)), sizes, [""] * len(sizes), table, firsts, counts, notes)


def _again(folder: Path) -> str:
    return f"remove the folder {folder}; it is made again"


def _identity(address: str) -> list[str]:
    if scheme(address) != LOCAL:
        return [address]
    try:
        status = Path(address).stat()
    except OSError as error:
        raise DataError(f"shard {address}: {error.strerror}", fix="correct `shards`") from error
    return [str(Path(address).resolve()), str(status.st_size), str(status.st_mtime_ns)]


def _facts(address: str, place: Path, endings: tuple[str, ...], cache: ShardCache) -> dict[str, int]:
    """{"bytes", "samples"} of a shard; its table is beside them."""
    note = place.with_suffix(".json")
    with locked(place.with_suffix(".lock")):
        try:
            fact: dict[str, int] = json.loads(note.read_text())
            if all(type(fact[key]) is int for key in ("bytes", "samples")):
                return fact
        except (OSError, ValueError, KeyError, TypeError):
            pass
        with os.fdopen(cache.open(address), "rb") as file:
            found = samples(file, address, endings)
            size = os.fstat(file.fileno()).st_size
        _write([member for column in zip(*found, strict=True) for member in column], len(found), place)
        fact = {"bytes": size, "samples": len(found)}
        _put(note, json.dumps(fact).encode())
        return fact


def _write(members: list[Member], count: int, place: Path) -> None:
    """The table of one shard: all first images, then all second ones."""
    rows = np.zeros(len(members), ROW)
    for key in ("offset", "length", "crc"):
        rows[key] = [getattr(member, key) for member in members]
    rows["partner"] = ALONE if len(members) == count else (np.arange(len(members)) + count) % len(members)
    part = place.with_suffix(".part")
    write_table(part, rows, [member.name.encode(errors="surrogateescape") for member in members])
    part.replace(place.with_suffix(".bin"))


def _merge(files: dict[Path, int], images: int, index: Path) -> None:
    """One table of the shards whose tables these are, in the same way.

    Args:
        files: the table of each shard, and the length of the shard.
        images: of a sample.
    """
    rows: list[list[Rows]] = [[] for _ in range(images)]
    names: list[list[bytes]] = [[] for _ in range(images)]
    for number, (file, size) in enumerate(files.items()):
        table = Table(file, [size], _again(file.parent))
        count = len(table) // images
        for image in range(images):
            mine = range(image * count, (image + 1) * count)
            rows[image].append(np.array(table.rows[mine.start : mine.stop]))
            rows[image][-1]["shard"] = number
            names[image] += [table.name(row).encode(errors="surrogateescape") for row in mine]
    every = np.concatenate([piece for pieces in rows for piece in pieces])
    every["partner"] = ALONE if images == 1 else (np.arange(len(every)) + len(names[0])) % len(every)
    part = index.with_suffix(".part")
    write_table(part, every, [name for column in names for name in column])
    part.replace(index)


def _put(file: Path, data: bytes) -> None:
    part = file.with_suffix(".json.part")
    part.write_bytes(data)
    part.replace(file)
