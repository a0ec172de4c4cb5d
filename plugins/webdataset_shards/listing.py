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

from i2i_forge.data.packs import ALONE, ROW, Rows, Table, write_table
from i2i_forge.errors import DataError

from .addresses import Shard
from .cache import ShardCache, locked, short
from .scanning import samples

log = logging.getLogger("i2i_forge")
Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Listing:
    """Shards with their samples.

    Attributes:
        shards: where they are.
        numbers: what each shard is called in the table.
        table: rows of images, each with that of its partner.
        firsts: the row of each shard's first sample; its further samples follow.
        counts: how many samples each shard has.
        notes: of shards that were read to find this out, the files where it is written.
    """

    shards: list[Shard]
    numbers: Numbers
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
    folder, unknown = cache.folder / "listings", [Shard(address) for address in addresses]
    places = [folder / short(*_identity(shard), *endings) for shard in unknown]
    if missing := sum(not place.with_suffix(".json").is_file() for place in places):
        log.warning("%d shards have no index of `forge data pack`: each is read once now", missing)
    facts = [_facts(shard, place, endings, cache) for shard, place in zip(unknown, places, strict=True)]
    shards = [Shard(address, size) for address, (size, _) in zip(addresses, facts, strict=True)]
    counts, sizes = np.array([count for _, count in facts], np.int64), [size for size, _ in facts]
    index = folder / f"{short(*(place.name for place in places))}.bin"
    with locked(index.with_suffix(".lock")):
        if not index.is_file():
            files = [place.with_suffix(".bin") for place in places]
            _merge([Table(*each, _again(folder)) for each in zip(files, ([size] for size in sizes), strict=True)],
                   len(endings), index)  # fmt: skip
        table = Table(index, sizes, _again(folder))
    if len(table) != counts.sum() * len(endings):
        raise DataError(f"{index} does not fit the shards it is of", fix=_again(folder))
    notes = {
        number: [place.with_suffix(".json"), place.with_suffix(".bin"), index]
        for number, place in enumerate(places)
        if not shards[number].is_local  # of a path, its time of change is part of the key: otherwise it is damaged
    }
    return Listing(shards, np.arange(len(shards)), table, np.cumsum(counts) - counts, counts, notes)


def _again(folder: Path) -> str:
    return f"remove the folder {folder}; it is made again"


def _identity(shard: Shard) -> list[str]:
    if not shard.is_local:
        return [shard.address]
    try:
        status = Path(shard.address).stat()
    except OSError as error:
        raise DataError(f"shard {shard.address}: {error.strerror}", fix="correct `shards`") from error
    return [str(Path(shard.address).resolve()), str(status.st_size), str(status.st_mtime_ns)]


def _facts(shard: Shard, place: Path, endings: tuple[str, ...], cache: ShardCache) -> tuple[int, int]:
    """The bytes and samples of a shard; its table is beside this note."""
    note = place.with_suffix(".json")
    with locked(place.with_suffix(".lock")):
        try:
            fact = json.loads(note.read_text())
            if type(fact["bytes"]) is int and type(fact["samples"]) is int:
                return fact["bytes"], fact["samples"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        with os.fdopen(cache.open(shard), "rb") as file:
            found = samples(file, shard.address, endings)
            size = os.fstat(file.fileno()).st_size
        members = [member for column in zip(*found, strict=True) for member in column]
        rows = np.zeros(len(members), ROW)
        for key in ("offset", "length", "crc"):
            rows[key] = [getattr(member, key) for member in members]
        _write(rows, [member.name for member in members], len(endings), place.with_suffix(".bin"))
        part = note.with_suffix(".json.part")
        part.write_text(json.dumps({"bytes": size, "samples": len(found)}))
        part.replace(note)
        return size, len(found)


def _merge(tables: list[Table], images: int, index: Path) -> None:
    """One table of the shards whose tables these are, in the same way. `images` are in a sample."""
    pieces: list[Rows] = []
    names: list[str] = []
    for image in range(images):
        for number, table in enumerate(tables):
            count = len(table) // images
            mine = range(image * count, (image + 1) * count)
            pieces.append(np.array(table.rows[mine.start : mine.stop]))
            pieces[-1]["shard"] = number
            names += map(table.name, mine)
    _write(np.concatenate(pieces), names, images, index)


def _write(rows: Rows, names: list[str], images: int, file: Path) -> None:
    """A table of all first images of samples, then all second ones."""
    rows["partner"] = ALONE if images == 1 else np.roll(np.arange(len(rows)), len(rows) // 2)
    part = file.with_suffix(".part")
    write_table(part, rows, [name.encode(errors="surrogateescape") for name in names])
    part.replace(file)
