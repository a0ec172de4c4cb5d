"""What a folder of images of any kind holds: which belong together, what they are, where they lie, what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from i2i_forge.data.case_names import Layout, find_layout, list_files
from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.file_formats import Files
from i2i_forge.data.file_values import Image, Values, file_values
from i2i_forge.data.folders import A_NAMES, B_NAMES, EXTENSIONS
from i2i_forge.data.splits import refuse_divided_groups
from i2i_forge.data.stored import Header
from i2i_forge.data.volumes import differences
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

MOST_VALUES = 2**28  # of an image's files are read, where no test files have to be compared with those of training
DECODED = 4  # files at once: each may be a volume of gigabytes
LOOKED_AT = 64  # pictures of a folder, to see whether all are of 8 bits
TWO_FOLDERS = {"a": A_NAMES, "b": B_NAMES}


@dataclass(frozen=True)
class CaseSurvey:
    """What a folder holds.

    Attributes:
        root: the folder.
        layout: the patterns of cases; None of two folders, trainA and trainB.
        images: by name.
        cases: those that have all images; where images are not paired, each file is one.
        missing: which cases lack which image.
        paired: whether images belong together, as most names say.
        grids: of cases whose files do not lie on one grid, how they differ.
        twins: files of training and of testing that have a plane in common.
        divided: of a group with cases in both, which one; "" where there is none.
    """

    root: Path
    layout: Layout | None
    images: Mapping[str, Image]
    cases: Sequence[Case]
    missing: Sequence[str]
    paired: bool
    grids: Sequence[str]
    twins: Sequence[tuple[Path, Path]]
    divided: str

    @property
    def damaged(self) -> dict[Path, DataError]:
        """All files that cannot be used."""
        return {path: error for image in self.images.values() for path, error in image.damaged.items()}


def is_measured(root: Path, files: Files) -> bool:
    """Whether a folder is surveyed as cases: most of its files, or those of a sub-folder, are not 8-bit pictures.

    A single image in each case, pairs side by side among them, is surveyed as pictures where these can be read as such.
    """
    names = list_files(root, files) if root.is_dir() else []
    pictures = [name for name in names if name.rpartition(".")[2].lower() in EXTENSIONS]
    if 2 * len(pictures) <= len(names) > 0:
        return True
    deep: dict[str, list[bool]] = {}
    for name in pictures[:: max(1, len(pictures) // LOOKED_AT)]:
        deep.setdefault(name.rpartition("/")[0], []).append(_is_deep(root / name, files))
    if not any(2 * sum(each) > len(each) for each in deep.values()):
        return False
    layout = None if _are_two(root) else find_layout(names, files)
    return _are_two(root) or (layout is not None and len(layout.files) > 1)


def _are_two(root: Path) -> bool:
    return all((root / names[0]).is_dir() for names in TWO_FOLDERS.values())


def _is_deep(path: Path, files: Files) -> bool:
    try:
        header = files.open(path).header
    except DataError:
        return False  # which the survey of pictures says
    return header.dtype not in ("uint8", "bool") or len(header.channels) > 4


def survey_cases(
    root: Path, files: Files, patterns: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CaseSurvey:  # fmt: skip
    """Read every header below a folder, and values: of all files where training and test files are to be compared.

    Args:
        patterns: image -> those of its stack; by default they are found, see `find_layout`.
        progress: called with how many files are done, of how many.

    Raises:
        DataError: the folder is missing, or no patterns are found.
    """
    layout = found_layout(root, files, patterns or {})
    found = {split: _cases(root, layout, split, files) for split in ("train", "test")}
    images = {name: Image(layout.files[name] if layout else (TWO_FOLDERS[name][0],)) for name in found["train"]}
    splits = {split: {n: [f for c in cs for f in c.files[n]] for n, cs in of.items()} for split, of in found.items()}
    _read(images, splits, files, progress)
    together = {split: _together(of) for split, of in found.items() if of}
    cases = [case for whole, _ in together.values() for case in whole]
    paired = bool(together["train"][0])
    return CaseSurvey(
        root, layout, images, cases or [case for of in found.values() for each in of.values() for case in each],
        [said for _, lacking in together.values() for said in lacking] if paired else [], paired,
        list(_grids(cases, images)), _twins(images, splits),
        _divided({split: whole for split, (whole, _) in together.items()}) if layout else "",
    )  # fmt: skip


def found_layout(root: Path, files: Files, patterns: Mapping[str, Sequence[str]]) -> Layout | None:
    """The patterns of cases, those that are given or those that are found; None of two folders, trainA and trainB.

    Raises:
        DataError: the folder is missing, or no patterns are found.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder", fix="correct the path")
    if patterns:
        return Layout({name: tuple(stack) for name, stack in patterns.items()}, {})
    if _are_two(root):
        return None
    layout = find_layout(list_files(root, files), files)
    if layout is None:
        raise DataError(
            f"{root}: its names do not say which files belong together",
            fix="say it: --set 'files.a={case}/mr.nii.gz' --set 'files.b={case}/ct.nii.gz'",
        )
    return layout


def _cases(root: Path, layout: Layout | None, split: str, files: Files) -> dict[str, list[Case]]:
    """The cases of each image by itself; {} where there is no such split."""
    if layout is None:
        names = {name: folders[:1] if split == "train" else folders[1:] for name, folders in TWO_FOLDERS.items()}
        there = {name: [root / f for f in folders if (root / f).is_dir()] for name, folders in names.items()}
        return {name: folder_cases({name: fs[0]}, files.ending) for name, fs in there.items() if fs}
    if split == "test" and not layout.split:
        return {}
    folder = root / layout.split.get(split, "")
    return {name: find_cases(folder, {name: patterns}, "skip") for name, patterns in layout.files.items()}


def _together(found: Mapping[str, Sequence[Case]]) -> tuple[list[Case], list[str]]:
    """Cases with all their images, and which ones lack some; no case where most have no partner."""
    by_name = {image: {case.name: case for case in cases} for image, cases in found.items()}
    every = dict.fromkeys(name for cases in by_name.values() for name in cases)
    whole = [name for name in every if all(name in cases for cases in by_name.values())]
    if 2 * len(whole) < len(every):
        return [], []
    missing = [
        f"{name} has no {' and no '.join(image for image, cases in by_name.items() if name not in cases)}"
        for name in every.keys() - set(whole)
    ]
    first = next(iter(by_name.values()))
    merged = [{image: cases[name].files[image] for image, cases in by_name.items()} for name in whole]
    cases = [Case(n, first[n].group, f, first[n].values) for n, f in zip(whole, merged, strict=True)]
    return cases, sorted(missing, key=natural_key)


def _divided(splits: Mapping[str, Sequence[Case]]) -> str:
    try:
        refuse_divided_groups(splits)
    except DataError as error:
        return error.message
    return ""


def _read(
    images: Mapping[str, Image], splits: Mapping[str, Mapping[str, Sequence[Path]]], files: Files,
    progress: Callable[[int, int], None],
) -> None:  # fmt: skip
    has_tests = any(splits["test"].values())
    listed = {name: [path for of in splits.values() for path in of.get(name, ())] for name in images}
    total, done = sum(map(len, listed.values())), 0
    for name, paths in listed.items():
        image = images[name]
        chosen = set(paths) if has_tests else _sample(paths, files)
        with ThreadPoolExecutor(DECODED) as pool:
            looked = pool.map(partial(_look, files, chosen), paths)
            for path, (error, kind, header, values) in zip(paths, looked, strict=True):
                if error:
                    image.damaged[path] = error
                else:
                    image.headers[path] = header
                    image.formats[kind] += 1
                    image.values |= {path: values} if values else {}
                progress(done := done + 1, total)


def _look(files: Files, chosen: set[Path], path: Path) -> tuple[DataError | None, str, Header, Values | None]:
    try:
        stored = files.open(path)
        return None, files.format_of(path), stored.header, file_values(stored) if path in chosen else None
    except DataError as error:
        return error, "", Header(1, 1), None


def _sample(paths: Sequence[Path], files: Files) -> set[Path]:
    """Files evenly spread, with at most MOST_VALUES values by the first that can be opened."""
    for path in paths:
        try:
            size = int(np.prod(files.open(path).header.shape))
        except DataError:
            continue
        count = max(1, min(len(paths), MOST_VALUES // size))
        return {paths[number * len(paths) // count] for number in range(count)}
    return set()


def _grids(cases: Sequence[Case], images: Mapping[str, Image]) -> Iterator[str]:
    headers = {path: header for image in images.values() for path, header in image.headers.items()}
    for case in cases:
        there = [path for paths in case.files.values() for path in paths if path in headers]
        if len(there) > 1 and (said := differences((str(path), headers[path]) for path in there)):
            yield said


def _twins(images: Mapping[str, Image], splits: Mapping[str, Mapping[str, Sequence[Path]]]) -> list[tuple[Path, Path]]:
    """Files of one image in both splits with a plane in common; labels and masks are often alike."""
    found = []
    for name, image in images.items():
        if image.labels:
            continue
        known = {
            digest: path for path in splits["train"][name] if path in image.values
            for digest in image.values[path].digests if digest
        }  # fmt: skip
        for path in splits["test"].get(name, ()):
            shared = [known[d] for d in image.values[path].digests if d in known] if path in image.values else []
            found += [(shared[0], path)] if shared else []
    return found
