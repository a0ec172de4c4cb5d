"""Public data sets: the table of those that `forge data get` knows, and fetching them into folders that are whole.

All are archives of efrosgans.eecs.berkeley.edu: pairs as used by Isola et al. 2017 (one image holds both, side by
side), and two folders as used by Zhu et al. 2017. Where both have a name, the pairs keep it. An entry that states
`bytes` or `sha256` is checked against them; without them, what arrived is recorded beside the images.

Nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from i2i_forge.errors import DataError, UsageError, suggest
from i2i_forge.system.fetch.archive import extract
from i2i_forge.system.fetch.download import Progress, disk_error, download, forget, locked
from i2i_forge.system.files import lines_of, made_whole, read_record, read_text, sha256_of

RECORD = ".forge-download.json"
INVENTORY = ".forge-files.sha256"  # what was unpacked, as `sha256sum -c` reads it
PAIRS = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
FOLDERS = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets"


@dataclass(frozen=True)
class PublicData:
    """A data set in one archive.

    Attributes:
        name: what users call it, and its folder.
        url: of the archive, .zip or .tar.gz.
        layout: "side_by_side": the folder train holds images of two halves; "two_folders": trainA and trainB.
        about: the two domains, a and b.
        bytes, sha256: of the archive, where they are known.
        largest: bytes that the archive may have: what comes is given up there.
    """

    name: str
    url: str
    layout: Literal["side_by_side", "two_folders"]
    about: str
    bytes: int | None = None
    sha256: str = ""
    largest: int = 4 * 10**9

    @property
    def kind(self) -> str:
        """Whether its images come in pairs."""
        return "paired" if self.layout == "side_by_side" else "unpaired"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it must have to be of any use."""
        return ("train",) if self.layout == "side_by_side" else ("trainA", "trainB")

    @property
    def top(self) -> str:
        """The folder that the archive's content may lie in: the archive's name without its ending."""
        return PurePosixPath(urlsplit(self.url).path).name.partition(".")[0]


def _pairs(name: str, about: str, largest: int = PublicData.largest) -> PublicData:
    return PublicData(name, f"{PAIRS}/{name}.tar.gz", "side_by_side", about, largest=largest)


def _folders(name: str, about: str, archive: str = "") -> PublicData:
    return PublicData(name, f"{FOLDERS}/{archive or name}.zip", "two_folders", about)


TABLE: Sequence[PublicData] = (
    _pairs("cityscapes", "street photographs, label maps"),
    _pairs("edges2handbags", "edges, handbags", 16 * 10**9),
    _pairs("edges2shoes", "edges, shoes"),
    _pairs("facades", "photographs of facades, label maps"),
    _pairs("maps", "aerial photographs, street maps"),
    _pairs("night2day", "night, day"),
    _folders("apple2orange", "apples, oranges"),
    _folders("cezanne2photo", "paintings by Cezanne, photographs"),
    _folders("cityscapes_unpaired", "street photographs, label maps", "cityscapes"),
    _folders("facades_unpaired", "photographs of facades, label maps", "facades"),
    _folders("horse2zebra", "horses, zebras"),
    _folders("iphone2dslr_flower", "flowers by telephone, flowers by camera"),
    _folders("maps_unpaired", "aerial photographs, street maps", "maps"),
    _folders("monet2photo", "paintings by Monet, photographs"),
    _folders("summer2winter_yosemite", "summer, winter"),
    _folders("ukiyoe2photo", "ukiyo-e prints, photographs"),
    _folders("vangogh2photo", "paintings by Van Gogh, photographs"),
)


def find(name: str, table: Sequence[PublicData] = TABLE) -> PublicData:
    """The entry of a name. Raises UsageError that suggests the nearest."""
    for entry in table:
        if entry.name == name:
            return entry
    raise UsageError(f"there is no public data set '{name}'", fix=suggest(name, [entry.name for entry in table]))


@dataclass(frozen=True)
class Fetched:
    """A data set that is there.

    Attributes:
        folder: where it is.
        record: url, bytes, sha256, date and files; what RECORD in the folder holds.
        is_new: whether this call brought it.
    """

    folder: Path
    record: dict[str, Any]
    is_new: bool


def fetch(data: PublicData, out: Path, *, progress: Progress = lambda done, total: None) -> Fetched:
    """Download and unpack `data` into the folder out/NAME, unless it is there; what is there is verified.

    The archive grows in out/NAME.part until it is whole, is unpacked into a hidden folder, and that is renamed.

    Raises:
        DataError: it cannot be downloaded, or is not what it should be; files of the folder are damaged or gone.
        ResourceError: the disk is full.
        UsageError: something else is there; FORGE_OFFLINE is set; another process does the same.
    """
    target = out / data.name
    if (target / RECORD).is_file():
        return _known(target)
    try:
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target}: there is something else already", fix="choose another --out")
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / f"{data.name}.part") as part:
            if (target / RECORD).is_file():  # another process was quicker
                forget(part)
                return _known(target)
            record = download(
                data.url, part, size=data.bytes, largest=data.largest, sha256=data.sha256, progress=progress
            )
            record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            try:
                _unpack(data, part, target, record)
            except DataError:
                forget(part)  # more of it is not to be had by going on
                raise
            forget(part)
    except OSError as error:
        raise disk_error(target, error) from error
    return Fetched(target, record, is_new=True)


def _known(target: Path) -> Fetched:
    """What an earlier call brought."""
    if (target / INVENTORY).is_file() and (bad := damaged(target)):
        raise DataError(
            f"{target}: {len(bad)} files are gone or not as they were unpacked: {', '.join(bad[:5])}",
            fix="remove the folder, and run the same command again",
        )
    return Fetched(target, read_record(target / RECORD), is_new=False)


def _unpack(data: PublicData, part: Path, target: Path, record: dict[str, Any]) -> None:
    with made_whole(target) as folder:
        record["files"] = extract(part, folder, top=data.top)
        there = sorted(entry.name for entry in folder.iterdir())
        if missing := [name for name in data.folders if name not in there]:
            raise DataError(
                f"{data.url} has no folder {' and '.join(missing)}; it holds {', '.join(there[:8]) or 'no images'}",
                fix="open the address in a browser: its owner may have changed or withdrawn it",
            )
        write_inventory(folder)
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def write_inventory(folder: Path) -> None:
    """Hash every file of a folder and write it down there."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    (folder / INVENTORY).write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def damaged(folder: Path) -> list[str]:
    """The files that are gone or not as they were. Files that were added do not matter."""
    lines = (line.partition("  ") for line in lines_of(read_text(folder / INVENTORY)))
    return [name for sha256, _, name in lines if not _is_as_it_was(folder / name, sha256)]


def _is_as_it_was(file: Path, sha256: str) -> bool:
    try:
        return sha256_of(file) == sha256
    except OSError:
        return False
