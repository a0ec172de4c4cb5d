"""The listing of shards that `forge data pack` made: their index lies beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from i2i_forge.data.packs import AGAIN, FORMAT, INDEX, MANIFEST, Manifest, Table, read_manifest
from i2i_forge.errors import DataError
from i2i_forge.system.fetch import forget, offline

from .addresses import LOCAL, Shard, beside, file_name, scheme
from .cache import ShardCache, locked, short
from .fetching import fetch, is_missing
from .listing import Listing

NOT_PACKED = "if `forge data pack` did not make these shards, set data.packed: false"


def find_manifest(addresses: Sequence[str], cache: ShardCache) -> Manifest | None:
    """pack.json beside shards; None where they are no pack, or not all of one.

    Only who says that it is not there makes shards without it. Where it was once, it has to be again.

    Raises:
        DataError: it cannot be fetched, is damaged, or is gone.
    """
    place = beside(addresses[0], MANIFEST)
    file = _local(place) if scheme(place) == LOCAL else _fetched(place, cache)
    if file is None:
        return None
    manifest = read_manifest(file)
    known = {shard.name for shard in manifest.shards}
    is_whole = all(file_name(address) in known and beside(address, MANIFEST) == place for address in addresses)
    return manifest if is_whole else None


def of_pack(addresses: Sequence[str], manifest: Manifest, cache: ShardCache) -> Listing:
    """The listing of shards of a pack. Of pairs, the first image of a sample is that of a.

    Raises:
        DataError: the index cannot be fetched, or is damaged; the shards are of several parts of the pack.
    """
    table = _table(beside(addresses[0], INDEX), manifest, cache)
    if len(table) != manifest.entries:
        raise DataError(f"{beside(addresses[0], INDEX)} and {MANIFEST} are of different packs", fix=AGAIN)
    numbers = {shard.name: number for number, shard in enumerate(manifest.shards)}
    mine = np.array([numbers[file_name(address)] for address in addresses])
    for role, part in manifest.parts.items():
        if manifest.pairs and role.endswith("_b"):
            continue  # the partners, in the order of their own folder
        column = table.rows["shard"][part.first : part.first + part.count]
        if (column[1:] < column[:-1]).any():
            raise DataError(f"{table.file} is damaged: the shards of {role} are not in order", fix=AGAIN)
        firsts, ends = (np.searchsorted(column, mine, side=side) for side in ("left", "right"))
        if (ends > firsts).all():
            known = zip(addresses, (manifest.shards[number] for number in mine), strict=True)
            shards = [Shard(address, shard.bytes, shard.sha256) for address, shard in known]
            return Listing(shards, mine, table, firsts + part.first, ends - firsts)
    raise DataError(
        f"{addresses[0]} ... {addresses[-1]} are shards of several parts of the pack",
        fix=f"name those of one part: {', '.join(role.replace('_', '-') for role in manifest.parts)}",
    )


def _speaks_of_a_pack(file: Path) -> bool:
    # a server may answer anything, under any name
    with file.open("rb") as handle:
        return FORMAT.encode() in handle.read(1000)


def _local(place: str) -> Path | None:
    try:
        return Path(place) if _speaks_of_a_pack(Path(place)) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}", fix="correct the permissions") from error


def _fetched(place: str, cache: ShardCache) -> Path | None:
    """A copy of pack.json as it is now; None where there is none. The copy tells the next time that there was one."""
    file = cache.folder / "packs" / f"{short(place)}.json"
    if offline():
        return file if file.is_file() else None
    with locked(file.with_suffix(".lock")):
        forget(file.with_suffix(".part"))  # it is small, and may be another by now
        try:
            if fetch(Shard(place), file, accept=_speaks_of_a_pack):
                return file
        except DataError as error:
            if not is_missing(error):
                raise DataError(error.message, fix=f"{error.fix}; {NOT_PACKED}") from error
        if file.is_file():
            raise DataError(f"{place} was there before, and is not now", fix=f"upload it again; {NOT_PACKED}")
    return None


def _table(address: str, manifest: Manifest, cache: ShardCache) -> Table:
    """The index; of one elsewhere a copy, named by its content. A copy that is damaged is removed."""
    shards, index = [shard.bytes for shard in manifest.shards], manifest.index
    if scheme(address) == LOCAL:
        return Table(Path(address), shards, AGAIN, index.sha256)
    file = cache.folder / "packs" / f"{index.sha256}.bin"
    with locked(file.with_suffix(".lock")):
        if not file.is_file():
            fetch(Shard(address, index.bytes, index.sha256), file)
        try:
            return Table(file, shards, f"run the same command again: it is fetched anew; or {AGAIN}", index.sha256)
        except DataError:
            file.unlink(missing_ok=True)
            raise
