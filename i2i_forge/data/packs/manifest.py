"""pack.json: what a pack holds. It carries its own checksum, so that no number in it can change unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from i2i_forge.data.packs.table import VERSION
from i2i_forge.errors import DataError
from i2i_forge.system.files import read_bytes
from i2i_forge.system.tensor_files import read_json

MANIFEST = "pack.json"
INDEX = "index.bin"
FORMAT = "i2i_forge pack"
LARGEST = 100_000_000  # bytes: half a million shards
AGAIN = "copy it again, or pack the folder again (forge data pack)"
PARTS = {"two_folders": ("train_a", "train_b", "test_a", "test_b"), "side_by_side": ("train", "test")}

CHECKED = ConfigDict(extra="forbid")
Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 62)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, config=CHECKED)
class PartOf:
    """The images of one folder: rows first ... first + count - 1 of the index, in the order of that folder."""

    folder: str
    first: Count
    count: Annotated[Count, Field(gt=0)]


@dataclass(frozen=True, config=CHECKED)
class Shard:
    """One tar."""

    name: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)?-[0-9]{6,9}\.tar$")]
    bytes: Count
    sha256: Digest


@dataclass(frozen=True, config=CHECKED)
class Seal:
    """What the index must have: its length and SHA-256."""

    bytes: Count
    sha256: Digest


@dataclass(frozen=True, config=CHECKED)
class Manifest:
    """What a pack holds.

    Attributes:
        layout: "two_folders" has the parts train_a, train_b and may have test_a, test_b; "side_by_side" train, test.
        pairs: whether each image of a has its partner in b ("two_folders").
    """

    layout: Literal["two_folders", "side_by_side"]
    pairs: Annotated[bool, Field(strict=True)]
    entries: Count
    parts: dict[str, PartOf]
    shards: list[Shard]
    index: Seal

    @model_validator(mode="after")
    def _parts_fit(self) -> Manifest:
        known, counts = PARTS[self.layout], {name: part.count for name, part in self.parts.items()}
        if not {name for name in known if name.startswith("train")} <= counts.keys() <= set(known):
            raise ValueError(f"layout {self.layout!r} with parts {', '.join(counts)}")
        if any(part.first + part.count > self.entries for part in self.parts.values()):
            raise ValueError("a part lies outside the index")
        if self.pairs and any(counts.get(f"{split}_a") != counts.get(f"{split}_b") for split in ("train", "test")):
            raise ValueError("pairs with a part alone")
        return self

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
        known = {key: value for key, value in data.items() if key not in ("format", "version")}
        return TypeAdapter(Manifest).validate_python(known)
    except FileNotFoundError as error:
        raise DataError(
            f"{file.parent} is no pack: there is no {file.name}", fix="make one: forge data pack"
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}", fix=AGAIN) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is damaged: {_cause(error)}", fix=AGAIN) from error


def _cause(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'pack'}: {first['msg']}"
    return f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
