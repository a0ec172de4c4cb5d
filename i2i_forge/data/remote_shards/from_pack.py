"""The listing of shards that `forge data pack` made: their index lies beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from i2i_forge.data.packs.manifest import AGAIN, FORMAT, INDEX, MANIFEST, Manifest, read_manifest
from i2i_forge.data.packs.table import Table
from i2i_forge.data.remote_shards.cache import ShardCache, locked, short
from i2i_forge.data.remote_shards.fetching import TRIES, bring, is_missing
from i2i_forge.data.remote_shards.listing import Listing
from i2i_forge.data.remote_shards.patterns import LOCAL, WEB, scheme
from i2i_forge.errors import DataError
from i2i_forge.public_data.download import forget, offline
from i2i_forge.public_data.remote import note_of


def beside(address: str, name: str) -> str:
    """The address of another file in the same folder."""
    if scheme(address) == LOCAL:
        return str(Path(address).with_name(name))
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rpartition("/")[0] + f"/{name}"))


def find_manifest(addresses: Sequence[str], cache: ShardCache) -> tuple[Manifest, Path] | None:
    """pack.json beside shards, and the file it was read from; None where they are no pack, or not all of one.

    Raises:
        DataError: it cannot be fetched, or is damaged.
    """
    place = beside(addresses[0], MANIFEST)
    file = Path(place) if scheme(place) == LOCAL else _fetched(place, cache)
    if file is None or not file.is_file() or not _speaks_of_a_pack(file):
        return None
    manifest = read_manifest(file)
    known = {shard.name for shard in manifest.shards}
    is_whole = all(_name(address) in known and beside(address, MANIFEST) == place for address in addresses)
    return (manifest, file) if is_whole else None


def _speaks_of_a_pack(file: Path) -> bool:
    # a server may answer anything, under any name
    with file.open("rb") as handle:
        return FORMAT.encode() in handle.read(1000)


def of_pack(addresses: Sequence[str], manifest: Manifest, file: Path, cache: ShardCache) -> Listing:
    """The listing of shards of a pack. Of pairs, the first image of a sample is that of a.

    Args:
        file: that `find_manifest` returned.

    Raises:
        DataError: the index cannot be fetched, or is damaged; the shards are of several parts of the pack.
    """
    index = file.with_name(INDEX) if scheme(addresses[0]) == LOCAL else _index(beside(addresses[0], INDEX), file)
    table = Table(index, [shard.bytes for shard in manifest.shards], AGAIN)
    if len(table) != manifest.entries:
        raise DataError(f"{beside(addresses[0], INDEX)} and {MANIFEST} are of different packs", fix=AGAIN)
    numbers = {shard.name: number for number, shard in enumerate(manifest.shards)}
    mine = np.array([numbers[_name(address)] for address in addresses])
    for role, part in manifest.parts.items():
        if manifest.pairs and role.endswith("_b"):
            continue  # the partners, in the order of their own folder
        column = table.rows["shard"][part.first : part.first + part.count]
        if (column[1:] < column[:-1]).any():
            raise DataError(f"{index} is damaged: the shards of {role} are not in order", fix=AGAIN)
        firsts, ends = (np.searchsorted(column, mine, side=side) for side in ("left", "right"))
        if (ends > firsts).all():
            shards = [manifest.shards[number] for number in mine]
            return Listing(
                list(addresses), mine, [shard.bytes for shard in shards], [shard.sha256 for shard in shards],
                table, firsts + part.first, ends - firsts,
            )  # fmt: skip
    raise DataError(
        f"{addresses[0]} ... {addresses[-1]} are shards of several parts of the pack",
        fix=f"name those of one part: {', '.join(role.replace('_', '-') for role in manifest.parts)}",
    )


def _fetched(place: str, cache: ShardCache) -> Path | None:
    """A copy of pack.json as it is now, named by its content; None where there is none."""
    folder = cache.folder / "packs"
    latest, part = folder / f"{short(place)}.latest", folder / f"{short(place)}-{os.getpid()}.part"
    if offline():
        return folder / latest.read_text() if latest.is_file() else None
    with locked(latest.with_suffix(".lock")):
        forget(part)
        try:
            found = bring(place, part, tries=TRIES if scheme(place) in WEB else 1)  # others do not say what is missing
        except DataError as error:
            if is_missing(error) or scheme(place) not in WEB:
                return None
            raise
        file = folder / f"{found['sha256']}.json"
        note_of(part).unlink(missing_ok=True)
        part.replace(file)
        latest.write_text(file.name)
    return file


def _index(address: str, file: Path) -> Path:
    """A copy of index.bin, beside that of pack.json."""
    index = file.with_suffix(".bin")
    with locked(index.with_suffix(".lock")):
        if not index.is_file():
            part = index.with_suffix(".part")
            bring(address, part)
            note_of(part).unlink(missing_ok=True)
            part.replace(index)
    return index


def _name(address: str) -> str:
    return Path(address).name if scheme(address) == LOCAL else urlsplit(address).path.rpartition("/")[2]
