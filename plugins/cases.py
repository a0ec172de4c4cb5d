"""Cases of any files: pictures, measured images and volumes that belong together, found by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import (
    Case,
    CaseByCase,
    CaseSource,
    Domains,
    Source,
    case_transform,
    find_cases,
    need_one_of,
    refuse_divided_groups,
    split_cases,
    tolerant,
)
from i2i_forge.errors import DataError


class Cases:
    """Images that belong together, such as the MR, the CT and the body mask of a patient.

    Args:
        root: the folder that the patterns are relative to.
        files: image -> the pattern of its file, or a list of patterns that are stacked as channels: `{case}` stands for
            what tells cases apart, `{subject}` for what must not be split, `*` for anything; neither crosses a "/".
        paired: whether the images of a case belong together. Otherwise each domain has its own cases and its own order,
            and a further image belongs to the domain that `of` in its description names.
        split: {test: 0.15}, the last share of the subjects; {train: FOLDER, test: FOLDER} below root; {list: FILE}, or
            {list: FILE, fold: 0}. By default all cases are in both.
        slices: {plane: axial, train: "mask > 0.01"}: how volumes are cut, and which slices train; all are tested.
        size, resize, flip: see i2i_forge.data.Transform; images keep their grid unless `resize` is said, and are not
            flipped unless that is said.
        test_crop: whether test images are cropped to `size`.
        augment: what else training draws: flip_vertical, turns, rotate, scale, shift, foreground, jitter, noise.
        cache: "disk" keeps what has to be decoded, uncompressed, in the user's cache; "none" decodes it again.
        on_bad: "skip" leaves out cases that miss a file, and takes the next image for one that is damaged.
        domains: what the images are.

    Raises:
        DataError: the options do not make sense; in `sources`: files are missing, or cannot be used.
    """

    def __init__(
        self,
        root: str,
        files: dict[str, str | list[str]],
        paired: bool = True,
        split: dict[str, Any] | None = None,
        slices: dict[str, Any] | None = None,
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool = False,
        test_crop: bool = False,
        augment: dict[str, Any] | None = None,
        cache: Literal["disk", "none"] = "disk",
        on_bad: Literal["error", "skip"] = "error",
        domains: Domains | None = None,
    ) -> None:
        need_one_of("on_bad", on_bad, ("error", "skip"))
        need_one_of("cache", cache, ("disk", "none"))
        said = slices or {}
        if said.keys() - {"plane", "train"}:
            raise DataError(f"slices: {said} has keys that mean nothing", fix="write {plane: axial, train: all}")
        need_one_of("slices.plane", str(said.get("plane", "axial")), ("axial", "coronal", "sagittal", "0", "1", "2"))
        self.files = {name: [p] if isinstance(p, str) else list(p) for name, p in files.items()}
        if not self.files or not all(self.files.values()):
            raise DataError(
                "files: an image has no pattern", fix='write {a: "{case}/mr.nii.gz", b: "{case}/ct.nii.gz"}'
            )
        self.root, self.paired, self.split, self.cache, self.on_bad = Path(root), paired, split or {}, cache, on_bad
        self.plane, self.keep = said.get("plane", "axial"), str(said.get("train", "all"))
        self.described = domains or Domains()
        self.transform = case_transform(
            self.described, list(self.files), size=size, resize=resize, flip=flip, test_crop=test_crop, augment=augment
        )

    @property
    def domains(self) -> list[str]:
        """See i2i_forge.data.Dataset."""
        return list(self.files)

    def sources(self, split: str) -> Sequence[Source]:
        """One source of all images of a case; of unpaired data one for each domain."""
        together = self._together()
        asked = re.split(r"\W", self.keep)[0]  # of several sources the one that has this image is chosen from
        asking = [names for names in together if asked in names] or together
        return [
            tolerant(self.source(split, names, self.keep if names in asking else "all"), self.on_bad)
            for names in together
        ]

    def source(self, split: str, names: Sequence[str], keep: str = "all") -> CaseSource:
        """The source of some images.

        Args:
            keep: which slices train, as `slices.train`.
        """
        kind = CaseSource if self.cache == "disk" else CaseByCase
        return kind(
            self.cases(names)[split], names, self.described, self.transform, plane=self.plane,
            keep=keep if split == "train" else "all", cache=self.cache, on_bad=self.on_bad,
        )  # fmt: skip

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        return () if self.split else tuple(name for name in self.files if name in self.described.translated)

    def cases(self, names: Sequence[str]) -> Mapping[str, Sequence[Case]]:
        """The cases of "train" and "test" with the files of some images."""
        files = {name: self.files[name] for name in names}
        if isinstance(self.split.get("train"), str):
            folders = {
                split: self.root / str(self.split.get(split, self.split["train"])) for split in ("train", "test")
            }
            found = {split: find_cases(folder, files, self.on_bad) for split, folder in folders.items()}
            if folders["train"] != folders["test"] and "{subject}" in str(files):  # names of cases may begin anew
                refuse_divided_groups(found)
            return found
        return split_cases(find_cases(self.root, files, self.on_bad), self.split, self.root)

    def _together(self) -> list[list[str]]:
        """The images that belong together, those of domains first."""
        translated = [name for name in self.files if name in self.described.translated]
        further = [name for name in self.files if name not in translated]
        if self.paired:
            return [[*translated, *further]]
        homeless = [name for name in further if self.described[name].domain.of not in translated]
        if homeless:
            raise DataError(
                f"unpaired data: {', '.join(homeless)} belongs to no domain", fix=f"say domains.{homeless[0]}.of: a"
            )
        return [[name, *(f for f in further if self.described[f].domain.of == name)] for name in translated]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("cases", Cases)


CHECKS = {"cases": {"skip": {"runs": "it needs a folder of files"}}}
