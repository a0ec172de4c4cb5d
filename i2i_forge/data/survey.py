"""What a folder of images holds: how many of which size, what is damaged, what is twice, how a recipe would name it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_forge.data import depths
from i2i_forge.data.decode import decode, opened
from i2i_forge.data.folders import list_images
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

SPLITS = ("trainA", "trainB", "testA", "testB", "valA", "valB", "train", "test", "val")
ENDINGS = {"JPEG": ("jpg", "jpeg"), "MPO": ("jpg", "jpeg"), "TIFF": ("tif", "tiff")}  # where not the name of the format
Size = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """The images of one folder, sub-folders included.

    Attributes:
        name: below the surveyed folder; "." is that folder itself.
        images: all files, in natural order.
        sizes: (width, height) of each that can be used.
        damaged: file -> what is wrong with it and what to do.
        noted: what is done to images that their owner may not expect -> the files.
        pixels: of each image of a split that can be used, a digest of its size and decoded pixels.
    """

    name: str
    images: list[Path]
    sizes: dict[Path, Size]
    damaged: dict[Path, DataError]
    noted: dict[str, list[Path]]
    pixels: dict[Path, bytes]


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        parts: its sub-folders trainA, train and the like, or all with images, or itself.
        twins: images of training and of test or validation folders that have the same pixels.
        uses: what a recipe's section `data` says to use it, the most likely first; none when it has no known layout.
    """

    parts: list[Part]
    twins: list[tuple[Path, Path]]
    uses: list[dict[str, str]]

    @property
    def compared(self) -> int:
        """How many images were compared to find the twins; none where there is only one side."""
        sides = {part.name.startswith("train") for part in self.parts if part.pixels}
        return sum(len(part.pixels) for part in self.parts) if len(sides) == 2 else 0

    @property
    def untested(self) -> list[str]:
        """The training folders without one of test or validation images."""
        names = {part.name for part in self.parts}
        train = [name for name in SPLITS if name.startswith("train") and name in names]
        return [name for name in train if not {name.replace("train", other) for other in ("test", "val")} & names]

    @property
    def damaged(self) -> dict[Path, DataError]:
        """All files that cannot be used."""
        return {path: error for part in self.parts for path, error in part.damaged.items()}

    @property
    def noted(self) -> dict[str, list[Path]]:
        """All notes on images that are not as usual."""
        every = sorted({note for part in self.parts for note in part.noted})
        return {note: [path for part in self.parts for path in part.noted.get(note, [])] for note in every}


def survey(root: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Survey:
    """Decode every image under `root`.

    Args:
        progress: called with how many images are decoded, of how many.

    Raises:
        DataError: the folder is missing or cannot be read, or there is no image in it.
    """
    every = list_images(root)
    parts, done = [], 0
    for name, images in _parts(root, every).items():
        sizes: dict[Path, Size] = {}
        damaged: dict[Path, DataError] = {}
        noted: defaultdict[str, list[Path]] = defaultdict(list)
        pixels: dict[Path, bytes] = {}
        with ThreadPoolExecutor() as pool:
            for path, (found, digest, notes) in zip(images, pool.map(_look, images), strict=True):
                if isinstance(found, DataError):
                    damaged[path] = found
                else:
                    sizes[path] = found
                    pixels |= {path: digest} if name in SPLITS else {}
                for note in notes:
                    noted[note].append(path)
                progress(done := done + 1, len(every))
        parts.append(Part(name, images, sizes, damaged, noted, pixels))
    return Survey(parts, _twins(parts), _uses(root, {part.name: part for part in parts}))


def _parts(root: Path, images: Sequence[Path]) -> dict[str, list[Path]]:
    parts: defaultdict[str, list[Path]] = defaultdict(list)
    for path in images:
        below = path.relative_to(root).parts
        parts[below[0] if len(below) > 1 else "."].append(path)
    order = [name for name in (*SPLITS, ".") if name in parts]
    return {name: parts[name] for name in [*order, *sorted(parts.keys() - order, key=natural_key)]}


def _look(path: Path) -> tuple[Size | DataError, bytes, list[str]]:
    try:
        image = decode(path)
    except DataError as error:
        return error, b"", []
    digest = hashlib.blake2b(image.tobytes(), digest_size=16, key=repr(image.size).encode()).digest()
    notes: list[str] = []
    with suppress(DataError), opened(path) as header:  # nothing of it keeps the image from being used
        notes = list(_notes(header, path.suffix.lower()[1:]))
    return image.size, digest, notes


def _notes(image: Image.Image, ending: str) -> Iterator[str]:
    """What is done to an image that its owner may not expect, by its header; of deep grey also by its values."""
    kind = image.format or ""
    if ending not in ENDINGS.get(kind, (kind.lower(),)):
        yield f"{kind} although named .{ending}"
    if image.mode in ("CMYK", "YCCK", "LAB"):
        yield f"{image.mode} is converted without a colour profile"
    elif "icc_profile" in image.info:
        yield "the colour profile is not applied"
    if image.mode == "F" or image.mode.startswith("I"):
        yield "more than 8 bits are rounded to 8"
        if narrow := depths.narrow(np.asarray(image), 1 if image.mode == "F" else 65535):
            yield narrow
    if image.has_transparency_data:
        yield "transparent parts become white"
    with suppress(EOFError):
        image.seek(1)
        yield "of several frames or pages the first is used"


def _twins(parts: Sequence[Part]) -> list[tuple[Path, Path]]:
    """Images that training shares with test or validation."""
    splits: dict[bool, list[tuple[Path, bytes]]] = {True: [], False: []}
    for part in parts:
        splits[part.name.startswith("train")] += part.pixels.items()
    known = {digest: path for path, digest in splits[True]}
    return sorted((known[digest], path) for path, digest in splits[False] if digest in known)


def _uses(root: Path, parts: dict[str, Part]) -> list[dict[str, str]]:
    """Sections `data` that fit, the most likely first."""
    unpaired = {"use": "unpaired_folders", "root": str(root)}
    if {"trainA", "trainB"} <= parts.keys():
        pairs = {"use": "paired_folders", "root": str(root), "layout": "two_folders"}
        return [pairs, unpaired] if _pair(parts["trainA"], parts["trainB"]) else [unpaired]
    if "train" in parts:
        side_by_side = {"use": "paired_folders", "root": str(root)}
        even = all(width % 2 == 0 for width, _ in parts["train"].sizes.values())
        return [side_by_side, {**unpaired, "layout": "side_by_side"}] if even else []
    if len(parts) == 2 and not parts.keys() & {".", *SPLITS}:
        a, b = parts
        return [{**unpaired, "a": a, "b": b}]
    return []


def _pair(a: Part, b: Part) -> bool:
    sizes_a, sizes_b = ({path.stem: part.sizes.get(path) for path in part.images} for part in (a, b))
    both = [(sizes_a[stem], sizes_b.get(stem)) for stem in sizes_a]
    return sizes_a.keys() == sizes_b.keys() and all(one == other or None in (one, other) for one, other in both)


def common_sizes(part: Part) -> list[tuple[Size, int]]:
    """How many images have which size, the most frequent first."""
    return Counter(part.sizes.values()).most_common()
