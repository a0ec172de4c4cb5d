"""pack.json: what a pack holds. It carries its own checksum, so that no number in it can change unnoticed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from i2i_forge.data.packs.table import VERSION
from i2i_forge.errors import DataError
from i2i_forge.system.files import read_bytes
from i2i_forge.system.tensor_files import read_json

MANIFEST = "pack.json"
INDEX = "index.bin"
FORMAT = "i2i_forge pack"
LARGEST = 100_000_000  # bytes: half a million shards
AGAIN = "copy it again, or pack the folder again (forge data pack)"
LAYOUTS = ("two_folders", "side_by_side")
PARTS = {"two_folders": ("train_a", "train_b", "test_a", "test_b"), "side_by_side": ("train", "test")}


@dataclass(frozen=True)
class PartOf:
    """The images of one folder: rows first ... first + count - 1 of the index, in the order of that folder."""

    folder: str
    first: int
    count: int


@dataclass(frozen=True)
class Shard:
    """One tar."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Seal:
    """What the index must have: its length and SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a pack holds.

    Attributes:
        layout: "two_folders" has the parts train_a, train_b and may have test_a, test_b; "side_by_side" train, test.
        pairs: whether each image of a has its partner in b ("two_folders").
    """

    layout: str
    pairs: bool
    entries: int
    parts: dict[str, PartOf]
    shards: list[Shard]
    index: Seal

    def part(self, name: str) -> PartOf:
        """A part; one of test images that is not there is that of training."""
        return self.parts.get(name) or self.parts[name.replace("test", "train")]


def write_manifest(file: Path, manifest: Manifest) -> None:
    """Write pack.json."""
    data = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    file.write_text(json.dumps({"sha256": _digest(data), "pack": data}, indent=1) + "\n")


def read_manifest(file: Path) -> Manifest:
    """The content of pack.json.

    Raises:
        DataError: missing, of another version, or damaged.
    """
    try:
        read = read_json(read_bytes(file, LARGEST))
        data, stated = read["pack"], read["sha256"]
        if data["format"] != FORMAT:
            raise ValueError("it is of another format")
        if data["version"] != VERSION:
            cause = f"is of version {data['version']!r}; this i2i_forge reads version {VERSION}"
            raise DataError(f"{file} {cause}", fix="pack the folder again, or use the i2i_forge that packed it")
        if _digest(data) != stated:
            raise ValueError("it does not have the checksum it states")
        return _manifest(data)
    except FileNotFoundError as error:
        raise DataError(
            f"{file.parent} is no pack: there is no {file.name}", fix="make one: forge data pack"
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}", fix=AGAIN) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{file} is damaged: {cause}", fix=AGAIN) from error


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _manifest(data: dict[str, Any]) -> Manifest:
    """Raises ValueError, KeyError or TypeError for what no pack has."""
    parts = {name: PartOf(**part) for name, part in data["parts"].items()}
    shards = [Shard(**shard) for shard in data["shards"]]
    index = Seal(**data["index"])
    known = PARTS[data["layout"]] if data["layout"] in LAYOUTS else ()
    needed = [name for name in known if name.startswith("train")]
    if not needed or not set(needed) <= set(parts) <= set(known):
        raise ValueError(f"layout {data['layout']!r} with parts {', '.join(parts)}")
    numbers = [number for part in parts.values() for number in (part.first, part.count)]
    numbers += [data["entries"], index.bytes, *(shard.bytes for shard in shards)]
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise ValueError("a number of it is none")
    if not all(part.count and part.first + part.count <= data["entries"] for part in parts.values()):
        raise ValueError("a part lies outside the index")
    for shard in shards:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)?-\d{6,9}\.tar", shard.name):
            raise ValueError(f"shard {shard.name!r}")
    if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in (index.sha256, *(each.sha256 for each in shards))):
        raise ValueError("a checksum of it is none")
    pairs = bool(data["pairs"])
    for split in ("train", "test"):
        if pairs and parts.get(f"{split}_a", PartOf("", 0, 0)).count != parts.get(f"{split}_b", PartOf("", 0, 0)).count:
            raise ValueError("pairs with a part alone")
    return Manifest(data["layout"], pairs, data["entries"], parts, shards, index)
