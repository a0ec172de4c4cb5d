"""Images with known modes: a folder for each mode, a folder with modes.csv, or a data set that knows its modes.

Those that a classifier learns from are kept in memory at its size, as far as they fit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from i2i_forge.catalog.construct import call
from i2i_forge.catalog.registry import Registry
from i2i_forge.data.checks import check_images
from i2i_forge.data.decode import decode
from i2i_forge.data.folders import list_images
from i2i_forge.data.images import to_uint8
from i2i_forge.data.source import LabelledSource
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure.mode_classifier.classifier import fingerprint
from i2i_forge.measure.mode_classifier.networks import resized
from i2i_forge.system.files import read_bytes
from i2i_forge.system.seeding import generator

SHARE = 0.15  # of each mode's images that is set aside
BUDGET = 2 * 1024**3  # bytes for the images of one part; those beyond are decoded whenever they are used
EVERY = 1000


@dataclass(frozen=True)
class Labelled:
    """Images of known modes, decoded when they are asked for.

    Attributes:
        load: number of an image -> its pixels as they are, uint8 3,H,W.
        modes: of each image, an index of LabelledData.modes.
    """

    load: Callable[[int], Tensor]
    modes: Sequence[int]

    def __len__(self) -> int:
        return len(self.modes)

    def split(self, seed: int, purpose: str) -> tuple[Labelled, Labelled]:
        """Most of the images, and SHARE of each mode (at least one), drawn by the seed."""
        most: list[int] = []
        aside: list[int] = []
        for mode in sorted(set(self.modes)):
            own = [i for i, m in enumerate(self.modes) if m == mode]
            order = torch.randperm(len(own), generator=generator(seed, "modes", purpose, mode)).tolist()
            cut = max(1, round(SHARE * len(own)))
            aside += [own[i] for i in order[:cut]]
            most += [own[i] for i in order[cut:]]
        return self._part(sorted(most)), self._part(sorted(aside))

    def _part(self, numbers: Sequence[int]) -> Labelled:
        return Labelled(lambda i: self.load(numbers[i]), [self.modes[n] for n in numbers])


@dataclass(frozen=True)
class LabelledData:
    """What a classifier learns from and is tested on.

    Attributes:
        modes: their names.
        train, test: the images; None for a test split that the data does not have.
        origin: what the card says of the data.
    """

    modes: tuple[str, ...]
    train: Labelled
    test: Labelled | None
    origin: Mapping[str, Any]


class Pixels:
    """Images resized to size x size and rounded to 8 bits; all of them are decoded once here.

    Args:
        images: from where.
        report: is told (images done, all images) now and then.
    """

    def __init__(self, images: Labelled, size: int, report: Callable[[int, int], None]) -> None:
        self.images, self.size = images, size
        self.modes = torch.tensor(images.modes)
        self.fingerprints: list[int] = []
        held = min(len(images), BUDGET // (3 * size * size))
        self._held = torch.empty(held, 3, size, size, dtype=torch.uint8)
        for index in range(len(images)):
            pixels = images.load(index)
            self.fingerprints.append(fingerprint(pixels))
            if index < held:
                self._held[index] = self._resized(pixels)
            if (index + 1) % EVERY == 0 or index + 1 == len(images):
                report(index + 1, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images B,3,size,size in [-1, 1] and their modes, B."""
        held = len(self._held)
        images = [self._held[n] if n < held else self._resized(self.images.load(n)) for n in numbers]
        return torch.stack(images).float() / 127.5 - 1, self.modes[list(numbers)]

    def _resized(self, pixels: Tensor) -> Tensor:
        return to_uint8(resized(pixels[None].float() / 127.5 - 1, self.size))[0]


def read_labelled(data: str, options: Mapping[str, Any], datasets: Registry[Any]) -> LabelledData:
    """The images of a folder, or of a registered data set.

    A folder has a sub-folder for each mode, or train/ and test/ (or val/) with one each; or it has modes.csv with the
    columns file and mode_name, where the files under a folder test... (or else val) are the test images.

    Args:
        data: a folder, or the name of a data set.
        options: of the data set.

    Raises:
        DataError: there are not at least two modes with three images each, or images cannot be used.
        UsageError: a folder got options.
    """
    if Path(data).is_dir():
        if options:
            raise UsageError(f"--set is for data sets, and {data} is a folder", fix="leave --set out")
        found = _from_list(Path(data)) if (Path(data) / "modes.csv").is_file() else _from_folders(Path(data))
    elif data in datasets:
        found = _from_dataset(data, call(datasets.get(data), options, f"data set {data}"), options)
    else:
        raise DataError(
            f"{data} is neither a folder nor a data set",
            fix="name a folder with a sub-folder for each mode, or a data set that knows its modes: procedural_shoes",
        )
    for index, name in enumerate(found.modes):
        if (count := found.train.modes.count(index)) < 3:
            raise DataError(f"{data}: mode '{name}' has {count} training images", fix="add some: it needs at least 3")
    if len(found.modes) < 2:
        raise DataError(f"{data}: there is one mode, {found.modes[0]}", fix="add images of another mode")
    return found


def _from_folders(root: Path) -> LabelledData:
    train = root / "train" if (root / "train").is_dir() else root
    test = next((root / name for name in ("test", "val") if train != root and (root / name).is_dir()), None)
    modes = tuple(sorted(each.name for each in train.iterdir() if each.is_dir() and not each.name.startswith(".")))
    if not modes:
        raise DataError(f"{train} has no sub-folders", fix="give each mode a sub-folder of images, or write modes.csv")

    def files(folder: Path) -> list[tuple[Path, int]]:
        return [(file, index) for index, mode in enumerate(modes) for file in list_images(folder / mode)]

    held_out = _of_files(files(test)) if test else None
    return LabelledData(modes, _of_files(files(train)), held_out, {"folder": root.name})


def _from_list(root: Path) -> LabelledData:
    try:
        lines = io.StringIO(read_bytes(root / "modes.csv").decode("utf-8-sig"), newline="")
        rows = [(str(row["file"]), str(row["mode_name"])) for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        reason = f"it has no column {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{root / 'modes.csv'}: {reason}", fix="write a table with the columns file,mode_name"
        ) from None
    if not rows:
        raise DataError(f"{root / 'modes.csv'} is empty", fix="write a line file,mode_name for each image")
    modes = tuple(sorted({name for _, name in rows}))
    splits: dict[str, list[tuple[Path, int]]] = {"train": [], "test": [], "val": []}
    for file_name, name in rows:
        is_val = Path(file_name).parts[:1] in (("val",), ("valA",), ("valB",))
        splits["test" if file_name.startswith("test") else "val" if is_val else "train"].append(
            (root / file_name, modes.index(name))
        )
    test = splits["test"] or splits["val"]
    return LabelledData(
        modes, _of_files(splits["train"]), _of_files(test) if test else None, {"folder": root.name, "list": "modes.csv"}
    )


def _of_files(files: Sequence[tuple[Path, int]]) -> Labelled:
    check_images([file for file, _ in files])

    def load(index: int) -> Tensor:
        return torch.from_numpy(np.array(decode(files[index][0]))).permute(2, 0, 1).contiguous()

    return Labelled(load, [mode for _, mode in files])


def _from_dataset(name: str, dataset: Any, options: Mapping[str, Any]) -> LabelledData:
    if not hasattr(dataset, "MODES"):
        raise DataError(f"data set '{name}' does not know the modes of its images", fix="use procedural_shoes")

    def images(split: str) -> Labelled:
        source = next(cast(LabelledSource, s) for s in dataset.sources(split) if dataset.LABELLED in s.example(0, None))
        modes = [source.mode(index) for index in range(len(source))]
        return Labelled(lambda index: to_uint8(source.example(index, None)[dataset.LABELLED]), modes)

    origin = {"dataset": name, "options": dict(options)}
    return LabelledData(tuple(dataset.MODES), images("train"), images("test"), origin)
