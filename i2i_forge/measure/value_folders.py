"""Translations that any program has written in files of measured values: slices of volumes, 16-bit pictures, bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.cases import Case, folder_cases
from i2i_forge.data.domains import LABELS, Domains
from i2i_forge.data.file_formats import Files
from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure.samples import Item, Samples
from i2i_forge.recipe.check_shape import shape_problems
from i2i_forge.recipe.domains import Domain


def described(said: Mapping[str, Any], where: str) -> ImageSpace:
    """The space that is described as in `domains` of a recipe.

    Raises:
        UsageError: the description is wrong, or has no range of numbers.
    """
    for keys, text in shape_problems({"domains": {"images": dict(said)}}):
        if keys[:2] == ("domains", "images"):
            raise UsageError(f"{where}: {'.'.join(map(str, keys[2:])) or 'it'} {text}",
                             fix="write it as in `domains` of a recipe: {unit: HU, range: [-1024, 3071]}")  # fmt: skip
    space = ImageSpace(Domain.model_validate(said))
    if space.is_rgb8 or not space.is_known:
        raise UsageError(f"{where}: nothing says which values the images have", fix="say `range` as two numbers")
    return space


class ValueFolders(Samples):
    """Images of measured values in a folder, by the names of their files; each slice of a volume is an image.

    A file is a group: its slices are not parted. Values are read as they are, in float64.

    Args:
        folder: the translations, one for each input.
        device: where the images go.
        space: what they are, and the true outputs and real images.
        files: the formats that they may have.
        truths, mask: folders of the true outputs, and of masks that are not 0 where images are measured: files of the
            same names but for their endings, on the same grids.
        real: a folder of real images of the target domain.

    Raises:
        DataError: a folder holds no images, an image has none beside it or one on another grid, or no value at a pixel
            that is measured.
    """

    def __init__(
        self, folder: Path, device: torch.device, space: ImageSpace, files: Files, *, truths: Path | None = None,
        mask: Path | None = None, real: Path | None = None,
    ) -> None:  # fmt: skip
        self.device = device
        beside = {name: where for name, where in (("truth", truths), ("mask", mask)) if where}
        labels = LABELS.model_copy(update={"axes": space.domain.axes})
        spaces = dict.fromkeys(("image", "truth", "real"), space) | {"mask": ImageSpace(labels)}
        domains = Domains(spaces, files)
        cases = folder_cases({"image": folder}, files.ending)
        left = []
        for name, where in beside.items():
            cases, others = _joined(cases, name, where, files)
            left += [f"{others} files in {where} have no translation"] if others else []
        self.cases = CaseFiles(cases, ["image", *beside], domains, cache="none")
        self.places = _places(self.cases)
        self.reals = None
        if real:
            self.reals = CaseFiles(folder_cases({"real": real}, files.ending), ["real"], domains, cache="none")
        self.real_places = _places(self.reals) if self.reals else []
        formats = {files.format_of(case.files["image"][0]) for case in cases}
        super().__init__(
            model={"name": folder.resolve().name, "weights_sha256": "", "styles": "unknown"},
            data={"name": str(folder), "split": "files", "grouping": f"{len(cases)} files, {len(self.places)} images"},
            inputs=len(self.places),
            draws=1,
            has=frozenset({"truths"} & {f"{name}s" for name in beside} | {"mask"} & beside.keys()),
            space=space,
            codec=", ".join(sorted(formats)),
            warnings=left,
        )

    def translated(self, numbers: Sequence[int], seed: int, draws: Sequence[int], batch: int) -> Iterator[Item]:
        """See Samples; files are what they are, whatever the seed."""
        for number in numbers:
            case, place = self.places[number]
            name = self._name(self.cases, case, place)
            self.seen["inputs"][number] = name
            image, valid = self._read(self.cases, case, "image", place)
            inside = torch.ones_like(valid)
            item = Item(image, number, 0, name, group=self.cases.cases[case].name)
            if "truths" in self.has:
                item.truth, inside = self._read(self.cases, case, "truth", place)
            if "mask" in self.has:
                inside = inside & (torch.from_numpy(self.cases.quantity(case, "mask", place)[0]) > 0)
            if missing := int((inside & ~valid).sum()):
                raise DataError(
                    f"{name} has no value at {missing} pixels that are measured",
                    fix="write a value at each of them, or leave them out by a mask",
                )
            if image.min() < image.max():  # that images of air alone are equal says nothing
                self.seen["translations"][number, 0] = self.space.digest(image)
            yield replace(item, mask=inside[None])

    def real_count(self, split: str) -> int:
        """See Samples; there is one folder of real images, whatever the split."""
        return len(self.real_places)

    def real_item(self, split: str, number: int) -> Item:
        assert self.reals is not None
        case, place = self.real_places[number]
        image, _ = self._read(self.reals, case, "real", place)
        self.seen[split][number] = self.space.digest(image)
        return Item(image, number, 0, self._name(self.reals, case, place))

    def _read(self, files: CaseFiles, case: int, name: str, place: int) -> tuple[Tensor, Tensor]:
        """An image, C,H,W float64 in [-1, 1], and where it has a value, H,W."""
        quantity, valid, _ = self.space.filled(files.quantity(case, name, place))
        x = self.space.to_tensor(quantity, torch.float64)
        said = f"values outside of {self.space} count as its ends"
        if said not in self.warnings and not np.allclose(self.space.to_codes(x, "float64")[0], quantity, atol=1e-6):
            self.warnings.append(said)
        return x.to(self.device), torch.from_numpy(valid)

    def _name(self, files: CaseFiles, case: int, place: int) -> str:
        count = files.counts[case]
        return files.cases[case].name + (f" slice {place + 1}/{count}" if count > 1 else "")


def _joined(cases: Sequence[Case], name: str, folder: Path, files: Files) -> tuple[list[Case], int]:
    """The cases with their files in another folder, and how many files there are of no case."""
    found = {case.name: case.files[name] for case in folder_cases({name: folder}, files.ending)}
    if missing := [case.name for case in cases if case.name not in found]:
        raise DataError(
            f"{folder} has no file for {len(missing)} of {len(cases)} images, for example '{missing[0]}'",
            fix="give files that belong together one name; their endings may differ",
        )
    joined = [replace(case, files={**case.files, name: found[case.name]}) for case in cases]
    return joined, len(found) - len(cases)


def _places(files: CaseFiles) -> list[tuple[int, int]]:
    """The case and the slice of each image."""
    return [(case, place) for case, count in enumerate(files.counts) for place in range(count)]
