"""Translations that any program has written: folders of images, grouped by input."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from i2i_forge.data import check_images, decode, list_images, to_tensor
from i2i_forge.errors import DataError
from i2i_forge.measure.samples import Item, Samples, digest

NUMBERED = re.compile(r"(.+?)[-_](\d+)")  # bag-00, bag-01: translations of "bag"
CODECS = {".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff"}
SHEET = "sheet.png"  # what `forge translate` writes beside its images


class FolderSamples(Samples):
    """Images in a folder: one for each input, or several.

    Args:
        folder: the translations.
        device: where the images go.
        real: a folder of real images of the target domain.
        sources, truths: folders of the inputs and of the true outputs, by the input's name.
        draws: which files are translations of one input: "by-name" those of a sub-folder, and those whose names differ
            in a number at their end; "none" of them, each is of an input of its own. By default "none" where all names
            occur in `sources` and `truths` (where neither is given and `forge translate` did not write the folder, in
            `real`), else "by-name".

    Raises:
        DataError: a folder holds no images, or images of several formats; an input has none beside it.
    """

    def __init__(
        self, folder: Path, device: torch.device, *, real: Path | None = None, sources: Path | None = None,
        truths: Path | None = None, draws: Literal["by-name", "none"] | None = None,
    ) -> None:  # fmt: skip
        self.device = device
        telling = [where for where in (sources, truths) if where]
        if real and not telling and not (folder / SHEET).exists():
            telling = [real]
        one_each = draws == "none" or (draws is None and _are_named_as(folder, telling))
        self.groups = grouped(folder, one_each=one_each)
        self.names = list(self.groups)
        self.real_files = list_images(real) if real else []
        beside = {"source": sources, "truth": truths}
        self.beside = {what: _by_name(where, self.names) for what, where in beside.items() if where}
        files = [file for group in self.groups.values() for file in group]
        check_images([*files, *self.real_files, *(file for found in self.beside.values() for file in found)])
        counts = [len(group) for group in self.groups.values()]
        super().__init__(
            model={"name": folder.resolve().name, "weights_sha256": "", "styles": "unknown"},
            data={"name": str(folder), "split": "files", "grouping": _said(counts, one_each=one_each)},
            inputs=len(self.groups),
            draws=min(counts),
            has=frozenset(f"{what}s" for what in self.beside),
            codec=_codec(files),
        )
        if max(counts) > min(counts):
            self.warnings.append(f"inputs have {min(counts)} to {max(counts)} images; {min(counts)} of each are used")
        if self.real_files and (other := _codec(self.real_files)) != self.codec:
            self.warnings.append(f"the translations are {self.codec}, the real images {other}: a difference by itself")

    def translated(self, numbers: Sequence[int], seed: int, draws: Sequence[int], batch: int) -> Iterator[Item]:
        """See Samples; files are what they are, whatever the seed."""
        for number in numbers:
            name = self.names[number]
            self.seen["inputs"][number] = name
            beside: dict[str, Any] = {
                what: to_tensor(decode(files[number])).to(self.device) for what, files in self.beside.items()
            }
            for draw, file in enumerate(self.groups[name][: draws[number]]):
                image = to_tensor(decode(file))
                self.seen["translations"][number, draw] = digest(image)
                yield Item(image.to(self.device), number, draw, name, **beside)

    def real_count(self, split: str) -> int:
        """See Samples; there is one folder of real images, whatever the split."""
        return len(self.real_files)

    def real_item(self, split: str, number: int) -> Item:
        image = to_tensor(decode(self.real_files[number]))
        self.seen[split][number] = digest(image)
        return Item(image.to(self.device), number, 0, str(self.real_files[number]))


def grouped(folder: Path, *, one_each: bool = False) -> dict[str, list[Path]]:
    """Input -> its translations, both in natural order.

    Args:
        one_each: every file is of an input of its own.

    Raises:
        DataError: there is no image.
    """
    groups: dict[str, list[Path]] = {}
    for file in _translations(folder):
        stem = _stem(file, folder)
        inside, _, name = stem.rpartition("/")
        numbered = NUMBERED.fullmatch(name)
        groups.setdefault(stem if one_each else inside or (numbered[1] if numbered else name), []).append(file)
    if not groups:
        raise DataError(f"{folder} holds nothing but {SHEET}", fix="name the folder of the translations themselves")
    return groups


def _translations(folder: Path) -> list[Path]:
    return [file for file in list_images(folder) if file.name != SHEET]


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _are_named_as(folder: Path, others: Sequence[Path]) -> bool:
    """Whether every translation has the name of an image in each of the other folders, of which there is one."""
    stems = {_stem(file, folder) for file in _translations(folder)}
    return bool(others) and all(stems <= {_stem(file, other) for file in list_images(other)} for other in others)


def _said(counts: Sequence[int], *, one_each: bool) -> str:
    """How the files were grouped."""
    if one_each:
        return f"{len(counts)} files of {len(counts)} inputs"
    each = f"{min(counts)} to {max(counts)}" if max(counts) > min(counts) else f"{max(counts)}"
    return f"{sum(counts)} files of {len(counts)} inputs, by their names: {each} of each"


def _by_name(folder: Path, names: Sequence[str]) -> list[Path]:
    """The image of each input in another folder: by its path there without extension, else by its name alone."""
    paths, stems = defaultdict[str, list[Path]](list), defaultdict[str, list[Path]](list)
    for file in list_images(folder):
        paths[_stem(file, folder)].append(file)
        stems[file.stem].append(file)
    found = [paths.get(name) or stems.get(name, []) for name in names]
    if missing := [name for name, files in zip(names, found, strict=True) if not files]:
        raise DataError(
            f"{folder} has no image for {len(missing)} of {len(names)} inputs, for example '{missing[0]}'",
            fix="name its images like the inputs: bag.png for bag-00.png, bag-01.png or the sub-folder bag; "
            "--draws says what an input is",
        )
    if several := next((files for files in found if len(files) > 1), None):
        raise DataError(f"{several[0]} and {several[1]}: no telling which is meant", fix="remove one, or rename it")
    return [files[0] for files in found]


def _codec(files: Sequence[Path]) -> str:
    """The one format of the files. Raises DataError when there are several: their artefacts are not comparable."""
    examples = {CODECS.get(file.suffix.lower(), file.suffix.lower()[1:]): file for file in reversed(files)}
    if len(examples) > 1:
        shown = " and ".join(f"{codec} ({file.name})" for codec, file in sorted(examples.items()))
        raise DataError(f"{files[0].parent} mixes {shown}", fix="write all images in one format, best PNG")
    return next(iter(examples))
