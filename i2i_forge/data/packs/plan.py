"""Which images of a folder go into a pack: the layouts that recipes know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from i2i_forge.data.checks import Sizes, check_halves, check_images, check_lists, check_pairs, match_stems
from i2i_forge.data.decode import OnBad
from i2i_forge.data.folders import (
    A_NAMES,
    B_NAMES,
    SIDE_NAMES,
    is_side_by_side,
    list_images,
    shown,
    split_folder,
)
from i2i_forge.data.path_list import Paths
from i2i_forge.errors import DataError

Numbers = np.ndarray[Any, np.dtype[np.uint32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Layout = Literal["two_folders", "side_by_side"]
NAMES = {"a": A_NAMES, "b": B_NAMES, "": SIDE_NAMES}


@dataclass(frozen=True)
class Part:
    """The images of one folder, in its order.

    Attributes:
        sizes: N,2: width and height of each.
    """

    folder: Path
    images: Paths
    sizes: Numbers


@dataclass(frozen=True)
class PackPlan:
    """What a pack will hold.

    Attributes:
        root: what names are relative to.
        parts: by role: "train_a", "train_b", "test_a", "test_b"; or "train", "test".
        partners: by split, for each image of a the place of its partner in b; empty if there are no pairs.
    """

    root: Path
    layout: Layout
    parts: dict[str, Part]
    partners: dict[str, Numbers]

    def __len__(self) -> int:
        return sum(len(part.images) for part in self.parts.values())


def plan_pack(
    root: Path,
    *,
    layout: str = "auto",
    a: str = "",
    b: str = "",
    test_a: str = "",
    test_b: str = "",
    pairs: bool | None = None,
    on_bad: OnBad = "error",
) -> PackPlan:
    """Find the images, read their headers, and find out what is a pair.

    Args:
        root, layout, a, b, test_a, test_b: as of the data sets unpaired_folders and paired_folders.
        pairs: whether images of the same name in a and b are pairs; None: if all have a partner of the same size.
        on_bad: "skip" leaves out images whose header cannot be used, and their partners.

    Raises:
        DataError: folders are missing or empty, images cannot be used, or do not pair.
    """
    halves = layout == "side_by_side" or (layout == "auto" and is_side_by_side(root, a, b))
    if not halves and not (a or b) and not (root / A_NAMES[0]).exists():
        raise _no_layout(root)
    named = {"": (a, test_a)} if halves else {"a": (a, test_a), "b": (b, test_b)}
    folders = _folders(root, named)
    images = {role: list_images(folder) for role, folder in folders.items()}
    sizes = dict(zip(images, _checked(list(images.values()), on_bad), strict=True))
    kept = {role: found.good for role, found in sizes.items()}
    partners: dict[str, Numbers] = {}
    if halves:
        for found in sizes.values():
            if (odd := found.sizes[:, 0] % 2).any():
                check_halves(found.paths.take(np.flatnonzero(odd)))
    elif pairs is not False:
        try:
            for split in dict.fromkeys(role.partition("_")[0] for role in folders):
                partners[split] = _partners(split, folders, images, sizes, kept)
        except DataError:
            if pairs:
                raise
            partners, kept = {}, {role: found.good for role, found in sizes.items()}
    parts = {role: _part(folders[role], paths, sizes[role], kept[role]) for role, paths in images.items()}
    return PackPlan(root, "side_by_side" if halves else "two_folders", parts, partners)


def _folders(root: Path, named: dict[str, tuple[str, str]]) -> dict[str, Path]:
    """By role; tests without images of their own, which take those of training, have none."""
    found = {
        (split, domain): split_folder(str(root), split, *named[domain], NAMES[domain])
        for split in ("train", "test")
        for domain in named
    }
    return {
        f"{split}_{domain}".rstrip("_"): folder
        for (split, domain), folder in found.items()
        if split == "train" or folder != found["train", domain]
    }


def _checked(lists: list[Paths], on_bad: OnBad) -> list[Sizes]:
    try:
        return check_lists(lists, "skip" if on_bad == "skip" else None)
    except DataError as error:
        fix = error.fix if on_bad == "skip" else f"{error.fix}; or go on without: --on-bad skip"
        raise DataError(error.message, fix=fix) from error


def _partners(
    split: str, folders: dict[str, Path], images: dict[str, Paths], sizes: dict[str, Sizes], kept: dict[str, Mask]
) -> Numbers:
    """For each image of a that is kept the place of its partner among those of b that are. Narrows `kept` to the pairs.

    Raises:
        DataError: an image has no partner of its size.
    """
    a, b = f"{split}_a", f"{split}_b"
    if not {a, b} <= folders.keys():
        raise DataError(f"only one of {a} and {b} has a folder of its own", fix="name both, or none")
    pairs = match_stems(images[a], images[b], folders[a], folders[b])
    assert pairs.b.places is not None  # they were taken in the order of a
    places = pairs.b.places
    usable = sizes[a].good & sizes[b].good[places]
    unequal = usable & (sizes[a].all_sizes != sizes[b].all_sizes[places]).any(1)
    if unequal.any():
        check_pairs(pairs.take(np.flatnonzero(unequal)))
    kept[a], kept[b] = usable, np.isin(np.arange(len(images[b])), places[usable])
    return (np.cumsum(kept[b]) - 1)[places[usable]].astype(np.uint32)


def _part(folder: Path, images: Paths, sizes: Sizes, kept: Mask) -> Part:
    if not kept.any():  # that is an error
        check_images(images)
        raise DataError(f"{folder}: no image has a partner that can be used", fix="repair the damaged ones")
    some = images if kept.all() else images.take(np.flatnonzero(kept))
    return Part(folder, some, sizes.all_sizes[kept].astype(np.uint32))


def _no_layout(root: Path) -> DataError:
    if not root.is_dir():
        return DataError(f"{root} is not a folder", fix="name the folder that holds the images")
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    return DataError(
        f"{root} has neither {A_NAMES[0]} and {B_NAMES[0]} nor {SIDE_NAMES[0]}; it has {shown(names) or 'no folder'}",
        fix="name the folders of the two domains: --a FOLDER --b FOLDER",
    )
