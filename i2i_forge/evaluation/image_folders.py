"""Translations that any program has written: folders of images, grouped by input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from i2i_forge.data import check_images, decode, list_images, to_tensor
from i2i_forge.errors import DataError
from i2i_forge.evaluation.samples import Item, Samples, Share, batched, digest
from i2i_forge.metrics.batch import Batch

NUMBERED = re.compile(r"(.+?)[-_](\d+)")  # bag-00, bag-01: translations of "bag"
CODECS = {".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff"}
SHEET = "sheet.png"  # what `forge translate` writes beside its images


class FolderSamples(Samples):
    """Images in a folder: a sub-folder for each input, or names that differ in a number at their end.

    Args:
        folder: the translations.
        device: where the images go.
        real: a folder of real images of the target domain.
        sources, truths: folders of the inputs and of the true outputs, by the input's name.

    Raises:
        DataError: a folder holds no images, or images of several formats; an input has none beside it.
    """

    def __init__(
        self, folder: Path, device: torch.device, *, real: Path | None = None, sources: Path | None = None,
        truths: Path | None = None,
    ) -> None:  # fmt: skip
        self.device = device
        self.groups = grouped(folder)
        self.names = list(self.groups)
        self.real_files = list_images(real) if real else []
        beside = {"source": sources, "truth": truths}
        self.beside = {what: _by_name(where, self.names) for what, where in beside.items() if where}
        files = [file for group in self.groups.values() for file in group]
        check_images([*files, *self.real_files, *(file for found in self.beside.values() for file in found)])
        counts = [len(group) for group in self.groups.values()]
        super().__init__(
            model={"name": folder.resolve().name, "weights_sha256": "", "styles": "unknown"},
            data={"name": str(folder), "split": "files"},
            inputs=len(self.groups),
            draws=min(counts),
            has=frozenset(f"{what}s" for what in self.beside),
            codec=_codec(files),
        )
        if max(counts) > min(counts):
            self.warnings.append(f"inputs have {min(counts)} to {max(counts)} images; {min(counts)} of each are used")
        if self.real_files and (other := _codec(self.real_files)) != self.codec:
            self.warnings.append(f"the translations are {self.codec}, the real images {other}: a difference by itself")

    def translations(self, seed: int, draws: Sequence[int], batch: int, share: Share = (0, 1)) -> Iterator[Batch]:
        """See Samples; files are what they are, whatever the seed."""
        return batched(self._files(range(share[0], len(draws), share[1]), draws), batch)

    def real_count(self, split: str) -> int:
        """See Samples; there is one folder of real images, whatever the split."""
        return len(self.real_files)

    def real(self, split: str, count: int, batch: int, share: Share = (0, 1)) -> Iterator[Batch]:
        """See Samples."""
        return batched(self._real(split, range(share[0], min(count, len(self.real_files)), share[1])), batch)

    def _files(self, numbers: Sequence[int], draws: Sequence[int]) -> Iterator[Item]:
        for number in numbers:
            name = self.names[number]
            self.seen["inputs"][number] = name
            beside = {what: to_tensor(decode(files[number])).to(self.device) for what, files in self.beside.items()}
            for draw, file in enumerate(self.groups[name][: draws[number]]):
                image = to_tensor(decode(file))
                self.seen["translations"][number, draw] = digest(image)
                yield Item(image.to(self.device), number, draw, name, **beside)

    def _real(self, split: str, numbers: Sequence[int]) -> Iterator[Item]:
        for number in numbers:
            image = to_tensor(decode(self.real_files[number]))
            self.seen[split][number] = digest(image)
            yield Item(image.to(self.device), number, 0, str(self.real_files[number]))


def grouped(folder: Path) -> dict[str, list[Path]]:
    """Input -> its translations, both in natural order. Raises DataError when there is no image."""
    groups: dict[str, list[Path]] = {}
    for file in list_images(folder):
        if file.name == SHEET:
            continue
        inside = file.relative_to(folder).parts[:-1]
        numbered = NUMBERED.fullmatch(file.stem)
        name = "/".join(inside) if inside else numbered[1] if numbered else file.stem
        groups.setdefault(name, []).append(file)
    if not groups:
        raise DataError(f"{folder} holds nothing but {SHEET}", fix="name the folder of the translations themselves")
    return groups


def _by_name(folder: Path, names: Sequence[str]) -> list[Path]:
    """The image of each input in another folder, by its stem."""
    found = {file.stem: file for file in list_images(folder)}
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{folder} has no image for {len(missing)} of {len(names)} inputs, for example '{missing[0]}'",
            fix="name its images like the inputs: bag.png for bag-00.png, bag-01.png or the sub-folder bag",
        )
    return [found[name] for name in names]


def _codec(files: Sequence[Path]) -> str:
    """The one format of the files. Raises DataError when there are several: their artefacts are not comparable."""
    examples = {CODECS.get(file.suffix.lower(), file.suffix.lower()[1:]): file for file in reversed(files)}
    if len(examples) > 1:
        shown = " and ".join(f"{codec} ({file.name})" for codec, file in sorted(examples.items()))
        raise DataError(f"{files[0].parent} mixes {shown}", fix="write all images in one format, best PNG")
    return next(iter(examples))
