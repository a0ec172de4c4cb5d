"""Datasets made of image files: unpaired folders, lists, and pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import (
    A_NAMES,
    B_NAMES,
    SIDE_NAMES,
    Case,
    CaseSource,
    Domains,
    HalfSource,
    ImageSource,
    PairSource,
    SideBySideSource,
    Source,
    Transform,
    case_transform,
    check_halves,
    check_images,
    check_lists,
    check_pairs,
    folder_cases,
    is_side_by_side,
    list_images,
    match_stems,
    need_one_of,
    read_list,
    refuse_divided_groups,
    split_folder,
    tolerant,
)
from i2i_forge.errors import DataError


class UnpairedFolders:
    """Two folders of images that belong to two domains, each in its own order.

    Args:
        root: holds the folders; by default trainA, trainB, testA, testB.
        a, b: other training folders, relative to `root` or absolute.
        test_a, test_b: other test folders; by default testA and testB of `root`, else valA and valB, else the training
            folders.
        layout: "two_folders"; "side_by_side" takes a from the left and b from the right half of each image in the
            folders train and test (or val), where `a` and `test_a` name others; "auto" is "side_by_side" when nothing
            names `a` or `b` and `root` has a folder train but no trainA.
        on_bad: "error" refuses a folder with images that cannot be read; "skip" leaves these out, and takes the next
            image where that shows only when it is decoded.
        size, resize, flip, test_crop, augment: see i2i_forge.data.Transform; measured images keep their grid unless
            `resize` is said, and are flipped only where `flip` is.
        group: a pattern of the names of measured images, "{subject}_*": what `{subject}` stands for is not split.
        domains: what the images are; the files of measured ones may be of any format, and of one plane.

    Raises:
        DataError: the options do not make sense; in `sources`: folders or images cannot be used.
    """

    paired = False

    def __init__(
        self,
        root: str = "",
        a: str = "",
        b: str = "",
        test_a: str = "",
        test_b: str = "",
        layout: Literal["auto", "two_folders", "side_by_side"] = "auto",
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool | None = None,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
        augment: dict[str, Any] | None = None,
        group: str = "",
        domains: Domains | None = None,
    ) -> None:
        need_one_of("on_bad", on_bad, ("error", "skip"))
        need_one_of("layout", layout, ("auto", "two_folders", "side_by_side"))
        _need_folders(root, a, a if layout == "side_by_side" else b)
        self.layout, self.on_bad = layout, on_bad
        self.root, self.a, self.b, self.test_a, self.test_b = root, a, b, test_a, test_b
        self.measured: _Measured | None = None
        if domains is not None and not domains.are_rgb8:
            self.measured = _Measured(domains, group, size, resize, bool(flip), test_crop, augment, on_bad)
        else:
            self.transform = Transform(size, resize, flip is not False, test_crop, augment)

    def sources(self, split: str) -> Sequence[Source]:
        """One source of {"a": 3,H,W} and one of {"b": 3,H,W}, in [-1, 1]."""
        folders = self._folders(split)
        if self.measured:
            self.measured.refuse_divided(self._folders("train"), self._folders("test"))
            return [tolerant(self.measured.source({name: folder}), self.on_bad) for name, folder in folders.items()]
        if "ab" in folders:
            paths = check_halves(list_images(folders["ab"]), self.on_bad)
            halves = [HalfSource(name, paths, self.transform, half) for half, name in enumerate(("a", "b"))]
            return [tolerant(half, self.on_bad) for half in halves]
        return _unpaired(list_images(folders["a"]), list_images(folders["b"]), self.transform, self.on_bad)

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        return _shared(self._folders("train"), self._folders("test"))

    def _folders(self, split: str) -> dict[str, Path]:
        is_auto = self.layout == "auto" and is_side_by_side(self.root, self.a, self.b)
        return _folders(self, split, side_by_side=is_auto or self.layout == "side_by_side")


class ImageLists:
    """Two domains given by text files with one image path a line.

    Args:
        train_a, train_b: the lists of the training images, relative to `root`.
        test_a, test_b: the lists of the test images; by default the training lists and their folders.
        root: what lists and folders are relative to; by default the working directory.
        folder_train_a, folder_train_b, folder_test_a, folder_test_b: what the paths in each list are relative to;
            by default `root`.
        on_bad: "error" refuses a folder with images that cannot be read; "skip" leaves these out, and takes the next
            image where that shows only when it is decoded.
        size, resize, flip, test_crop, augment: see i2i_forge.data.Transform.

    Raises:
        DataError: the options do not make sense; in `sources`: lists or images cannot be used.
    """

    paired = False

    def __init__(
        self,
        train_a: str,
        train_b: str,
        test_a: str = "",
        test_b: str = "",
        root: str = "",
        folder_train_a: str = "",
        folder_train_b: str = "",
        folder_test_a: str = "",
        folder_test_b: str = "",
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool = True,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
        augment: dict[str, Any] | None = None,
    ) -> None:
        need_one_of("on_bad", on_bad, ("error", "skip"))
        train = [(train_a, folder_train_a), (train_b, folder_train_b)]
        test = [(test_a, folder_test_a), (test_b, folder_test_b)]
        self.root, self.on_bad = root, on_bad
        self.lists = {
            "train": train,
            "test": [own if own[0] else other for own, other in zip(test, train, strict=True)],
        }
        self.transform = Transform(size, resize, flip, test_crop, augment)

    def sources(self, split: str) -> Sequence[Source]:
        """One source of {"a": 3,H,W} and one of {"b": 3,H,W}, in [-1, 1]."""
        a, b = (read_list(Path(self.root, file), Path(self.root, folder)) for file, folder in self.lists[split])
        return _unpaired(a, b, self.transform, self.on_bad)

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        return _shared(*(dict(zip("ab", self.lists[split], strict=True)) for split in ("train", "test")))


class PairedFolders:
    """Pairs of images, which share one order and one set of augmentation draws.

    Args:
        root: holds the folders.
        layout: "side_by_side", where the left half of each image is a and the right half b, in the folders train and
            test (or val); or "two_folders", where files of the same name pair, in trainA, trainB, testA, testB (or
            valA, valB).
        direction: "BtoA" exchanges a and b.
        a, b, test_a, test_b: other folders, relative to `root` or absolute; side by side, `a` and `test_a` count.
            A test folder that is neither named nor there is the training folder.
        on_bad: "error" refuses a folder with images that cannot be read; "skip" leaves these out, and takes the next
            image where that shows only when it is decoded.
        size, resize, flip, test_crop, augment: see i2i_forge.data.Transform; measured images keep their grid unless
            `resize` is said, and are flipped only where `flip` is.
        group: a pattern of the names of measured images, "{subject}_*": what `{subject}` stands for is not split.
        domains: what the images are; the files of measured ones may be of any format, and of one plane.

    Raises:
        DataError: the options do not make sense; in `sources`: folders or images cannot be used, or do not pair.
    """

    paired = True

    def __init__(
        self,
        root: str = "",
        layout: Literal["side_by_side", "two_folders"] = "side_by_side",
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        a: str = "",
        b: str = "",
        test_a: str = "",
        test_b: str = "",
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool | None = None,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
        augment: dict[str, Any] | None = None,
        group: str = "",
        domains: Domains | None = None,
    ) -> None:
        need_one_of("on_bad", on_bad, ("error", "skip"))
        need_one_of("layout", layout, ("side_by_side", "two_folders"))
        need_one_of("direction", direction, ("AtoB", "BtoA"))
        _need_folders(root, a, b if layout == "two_folders" else a)
        self.root, self.layout, self.swap, self.on_bad = root, layout, direction == "BtoA", on_bad
        self.a, self.b, self.test_a, self.test_b = a, b, test_a, test_b
        self.measured: _Measured | None = None
        if domains is not None and not domains.are_rgb8:
            self.measured = _Measured(domains, group, size, resize, bool(flip), test_crop, augment, on_bad)
        else:
            self.transform = Transform(size, resize, flip is not False, test_crop, augment)

    def sources(self, split: str) -> Sequence[Source]:
        """One source of {"a": 3,H,W, "b": 3,H,W}, in [-1, 1]."""
        folders = self._folders(split)
        if self.measured:
            self.measured.refuse_divided(self._folders("train"), self._folders("test"))
            ends = reversed([*folders.values()]) if self.swap else folders.values()
            return [tolerant(self.measured.source(dict(zip(folders, ends, strict=True))), self.on_bad)]
        if "ab" in folders:
            paths = check_halves(list_images(folders["ab"]), self.on_bad)
            source = SideBySideSource(paths, self.transform, ("b", "a") if self.swap else ("a", "b"))
            return [tolerant(source, self.on_bad)]
        a, b = folders["a"], folders["b"]
        pairs = match_stems(list_images(a), list_images(b), a, b)
        pairs = check_pairs(pairs, self.on_bad)
        return [tolerant(PairSource(pairs.swapped() if self.swap else pairs, self.transform), self.on_bad)]

    def without_tests(self) -> tuple[str, ...]:
        """See i2i_forge.data.Dataset."""
        return _shared(self._folders("train"), self._folders("test"))

    def _folders(self, split: str) -> dict[str, Path]:
        return _folders(self, split, side_by_side=self.layout == "side_by_side")


class _Measured:
    """The sources of folders whose images are described."""

    def __init__(
        self, domains: Domains, group: str, size: int | list[int], resize: int | None, flip: bool, test_crop: bool,
        augment: Mapping[str, Any] | None, on_bad: Literal["error", "skip"],
    ) -> None:  # fmt: skip
        self.domains, self.group, self.on_bad = domains, group, on_bad
        self.transform = case_transform(
            self.domains, "ab", size=size, resize=resize, flip=flip, test_crop=test_crop, augment=augment
        )

    def source(self, folders: Mapping[str, Path]) -> CaseSource:
        """Examples of what is in one folder, or of pairs of two."""
        return CaseSource(self.cases(folders), list(folders), self.domains, self.transform, on_bad=self.on_bad)

    def cases(self, folders: Mapping[str, Path]) -> list[Case]:
        """The files of folders, each with its partner."""
        if "ab" in folders:
            raise DataError(
                "layout: images side by side in one file are 8-bit RGB, and `domains` says otherwise",
                fix="put a and b into folders of their own, layout: two_folders",
            )
        return folder_cases(folders, self.domains.files.ending, self.group)

    def refuse_divided(self, train: Mapping[str, Path], test: Mapping[str, Path]) -> None:
        """Raise DataError for a group with images in both splits."""
        for name in train if self.group else ():
            if train[name] != test[name]:
                refuse_divided_groups(
                    {"train": self.cases({name: train[name]}), "test": self.cases({name: test[name]})}
                )


def _folders(data: UnpairedFolders | PairedFolders, split: str, *, side_by_side: bool) -> dict[str, Path]:
    """The folder of a and of b, or of both ("ab")."""
    if side_by_side:
        return {"ab": split_folder(data.root, split, data.a, data.test_a, SIDE_NAMES)}
    return {
        "a": split_folder(data.root, split, data.a, data.test_a, A_NAMES),
        "b": split_folder(data.root, split, data.b, data.test_b, B_NAMES),
    }


def _shared(train: Mapping[str, object], test: Mapping[str, object]) -> tuple[str, ...]:
    """The domains that are read from the same place in both splits."""
    return tuple("".join(domains for domains in train if train[domains] == test[domains]))


def _unpaired(
    a: Sequence[Path], b: Sequence[Path], transform: Transform, on_bad: Literal["error", "skip"]
) -> list[Source]:
    sources = []
    for domain, paths, good in zip(("a", "b"), (a, b), check_lists((a, b), on_bad), strict=True):
        kept = good.paths if good.good.any() else check_images(paths).paths  # all bad: that is an error
        sources.append(tolerant(ImageSource(domain, kept, transform), on_bad))
    return sources


def _need_folders(root: str, a: str, b: str) -> None:
    if not root and not (a and b):
        raise DataError("the dataset has no folder", fix="set `root`, or name the folders `a` and `b`")


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("unpaired_folders", UnpairedFolders)
    catalog.datasets.add("image_lists", ImageLists)
    catalog.datasets.add("paired_folders", PairedFolders)


NEEDS_FILES = {"skip": {"runs": "it needs folders of images"}}
CHECKS = dict.fromkeys(("unpaired_folders", "image_lists", "paired_folders"), NEEDS_FILES)
