"""What a folder of images of any kind holds: which belong together, what they are, where they lie, what is damaged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2i_forge.data.case_names import Layout, find_layout, list_files
from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.file_formats import Files
from i2i_forge.data.file_values import MAP, Image, file_values
from i2i_forge.data.folders import A_NAMES, B_NAMES, EXTENSIONS
from i2i_forge.data.splits import SPLITS, refuse_divided_groups
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

    @property
    def noted(self) -> dict[str, list[Path]]:
        """What headers say, and of which files; not where a map lies."""
        headers = [each for image in self.images.values() for each in image.headers.items()]
        texts = dict.fromkeys(text for _, header in headers for text in header.notes if not text.startswith(MAP))
        return {text: [path for path, header in headers if text in header.notes] for text in texts}


def is_measured(root: Path, files: Files) -> bool:
    """Whether a folder is surveyed as cases: most of its files, or those of a sub-folder, are not 8-bit pictures.

    A single image in each case, pairs side by side among them, is surveyed as pictures where these can be read as such.
    """
    names = list_files(root, files) if root.is_dir() else []
    pictures = [name for name in names if name.rpartition(".")[2].lower() in EXTENSIONS]
    if 2 * len(pictures) <= len(names) > 0:
        return True
    deep: defaultdict[str, list[bool]] = defaultdict(list)
    for name in pictures[:: max(1, len(pictures) // LOOKED_AT)]:
        deep[name.rpartition("/")[0]].append(_is_deep(root / name, files))
    if not any(2 * sum(each) > len(each) for each in deep.values()):
        return False
    layout = find_layout(names, files)
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
    found = {split: each for split in SPLITS if (each := _cases(root, layout, split, files))}
    images = {name: Image(layout.files[name] if layout else (TWO_FOLDERS[name][0],)) for name in found["train"]}
    splits = {split: {n: [f for c in cs for f in c.files[n]] for n, cs in of.items()} for split, of in found.items()}
    _read(images, splits, files, progress)
    together = {split: _together(of) for split, of in found.items()}
    whole = {split: cases for split, (cases, _) in together.items()}
    cases = [case for each in whole.values() for case in each]
    every = [case for of in found.values() for each in of.values() for case in each]
    return CaseSurvey(
        root, layout, images, cases or every,
        [said for _, missing in together.values() for said in missing if whole["train"]],
        bool(whole["train"]), list(_grids(cases, images)), _twins(images, splits), _divided(whole) if layout else "",
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
    parts: defaultdict[str, dict[str, Case]] = defaultdict(dict)
    for image, cases in found.items():
        for case in cases:
            parts[case.name][image] = case
    whole, missing = [], []
    for name, own in sorted(parts.items(), key=lambda each: natural_key(each[0])):
        if lacking := [image for image in found if image not in own]:
            missing.append(f"{name} has no {' and no '.join(lacking)}")
        else:
            files = {image: case.files[image] for image, case in own.items()}
            whole.append(replace(next(iter(own.values())), files=files))
    return (whole, missing) if 2 * len(whole) >= len(parts) else ([], [])


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
    """Of all files the headers; then the values of all, or of so many that are evenly spread."""
    done, total = 0, sum(len(paths) for of in splits.values() for paths in of.values())
    with ThreadPoolExecutor(DECODED) as pool:
        for name, image in images.items():
            paths = [path for of in splits.values() for path in of.get(name, ())]
            opened = dict(_good(pool, files.open, dict(zip(paths, paths, strict=True)), image))
            size = sum(math.prod(stored.header.shape) for stored in opened.values())
            step = 1 if "test" in splits else max(1, math.ceil(size / MOST_VALUES))
            for number, (path, values) in enumerate(_good(pool, file_values, dict([*opened.items()][::step]), image)):
                image.values[path] = values
                progress(done + number, total)
            image.headers = {path: stored.header for path, stored in opened.items() if path not in image.damaged}
            image.formats.update(map(files.format_of, image.headers))
            progress(done := done + len(paths), total)


def _good(
    pool: ThreadPoolExecutor, function: Callable[[Any], Any], given: Mapping[Path, Any], image: Image
) -> Iterator[tuple[Path, Any]]:
    """What a function makes of each file; those that it refuses are damaged."""

    def tried(argument: Any) -> Any:
        try:
            return function(argument)
        except DataError as error:
            return error

    for path, found in zip(given, pool.map(tried, given.values()), strict=True):
        if isinstance(found, DataError):
            image.damaged[path] = found
        else:
            yield path, found


def _grids(cases: Sequence[Case], images: Mapping[str, Image]) -> Iterator[str]:
    headers = {path: header for image in images.values() for path, header in image.headers.items()}
    for case in cases:
        there = [path for paths in case.files.values() for path in paths if path in headers]
        if len(there) > 1 and (said := differences((str(path), headers[path]) for path in there)):
            yield said


def _twins(images: Mapping[str, Image], splits: Mapping[str, Mapping[str, Sequence[Path]]]) -> list[tuple[Path, Path]]:
    """Files of one image in both splits with a plane in common; labels and masks are often alike."""
    found = set()
    for name in [name for name, image in images.items() if not image.labels]:
        read = images[name].values
        train, test = (
            {digest: path for path in splits.get(split, {}).get(name, ()) if path in read
             for digest in read[path].digests if digest} for split in SPLITS
        )  # fmt: skip
        found |= {(train[digest], test[digest]) for digest in train.keys() & test.keys()}
    return sorted(found)
