"""The public data sets that `forge data get` knows, and where they are.

All are archives of efrosgans.eecs.berkeley.edu: pairs as used by Isola et al. 2017 (one image holds both, side by
side), and two folders as used by Zhu et al. 2017. Where both have a name, the pairs keep it. An entry that states
`bytes` or `sha256` is checked against them; without them, what arrived is recorded beside the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from i2i_forge.errors import UsageError, suggest

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
