"""Which files of a folder belong together, by their names alone: the patterns that the data set `cases` would be told.

Cases are sub-folders with the same names in each, names with a part in common, or folders of one image each. What is
found is a proposal, which is shown to the user: none is made where names do not repeat.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from i2i_forge.data.file_formats import Files
from i2i_forge.data.folders import SIDE_NAMES
from i2i_forge.data.patterns import name_expression, names_below
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key

MOST_IMAGES = 12  # of a case: more names are no images but slices or tiles
CASE = "{case}"
CHANNEL = re.compile(r"\d{4}")  # nnU-Net's suffix
VISIT = re.compile(r"(.+)([_-])([A-Za-z]{0,6}\d+)")  # of one subject or scene: a visit, a tile
LAST = re.compile(r"(?P<case>.+)(?P<mark>[_.-])(?P<image>[^_.-]+)")
FIRST = re.compile(r"(?P<image>[A-Za-z]+\d?)(?P<mark>[_-])(?P<case>.+)")
NAMED = re.compile(r"\D+|\d{4}|[ts][12]", re.IGNORECASE)  # images: with digits alone nnU-Net's channels, T1, S2


@dataclass(frozen=True)
class Layout:
    """How the files of a folder are named.

    Attributes:
        files: image -> the patterns of its stack, as `data.files` has them.
        split: {"train": FOLDER, "test": FOLDER}, which the patterns are relative to; {} where folders do not say it.
    """

    files: Mapping[str, tuple[str, ...]]
    split: Mapping[str, str]


def list_files(root: Path, files: Files) -> list[str]:
    """The names below a folder, in natural order, of what can be read as an image; a folder of DICOM slices is one."""
    below: defaultdict[str, list[str]] = defaultdict(list)
    for name in names_below(root):
        below[name.rpartition("/")[0]].append(name)
    found: list[str] = []
    for folder, names in below.items():
        own = [name for name in names if name not in below]
        is_series = folder and own == names and _is_series(root / folder, own, files)
        found += [folder] if is_series else filter(files.ending, own)
    return sorted(found, key=natural_key)


def _is_series(folder: Path, names: Sequence[str], files: Files) -> bool:
    if len(names) > 1 and {files.ending(name) for name in names} <= {"", ".dcm", ".ima"}:
        with suppress(DataError):
            return bool(files.open(folder).header.axes)
    return False


def find_layout(names: Sequence[str], files: Files) -> Layout | None:
    """The patterns of names that repeat; None where no more than one case is found, or there are too many images."""
    tops = {name.partition("/")[0] for name in names if "/" in name}
    train, test = SIDE_NAMES[0], next((name for name in SIDE_NAMES[1:] if name in tops), "")
    split = {"train": train, "test": test} if test and train in tops and tops <= set(SIDE_NAMES) else {}
    if split:
        names = [name.partition("/")[2] for name in names if name.partition("/")[0] in split.values()]
    depth = Counter(name.count("/") for name in names).most_common(1)[0][0] if names else 0
    parts = [tuple(name.split("/")) for name in dict.fromkeys(names) if name.count("/") == depth]
    varying = [place for place in range(depth) if len({each[place] for each in parts}) > 1]
    if not varying or (len(varying) == 1 and _are_images(parts, varying[0])):
        found = _folders_of_images(parts, varying, files)
    else:
        found = _folders_of_cases(parts, varying, files)
    if not found or len(found) > MOST_IMAGES:
        return None
    named = sorted(_by_subject(found, names).items(), key=lambda each: natural_key(each[0]))
    return Layout({name or "image": tuple(patterns) for name, patterns in named}, split)


def _are_images(parts: Sequence[tuple[str, ...]], place: int) -> bool:
    """Whether the folders are images, and files cases: few folders, and many files whose names differ in numbers."""
    folders, bases = {each[place] for each in parts}, {each[-1].replace(each[place], CASE) for each in parts}
    are_numbered = len(folders) > 2 and len(_shapes(folders)) == 1
    return not are_numbered and len(folders) < len(bases) and 2 * len(_shapes(bases)) <= len(bases)


def _shapes(names: Iterable[str]) -> set[str]:
    return {re.sub(r"\d+", "#", name) for name in names}


def _folders_of_images(parts: Sequence[tuple[str, ...]], varying: Sequence[int], files: Files) -> dict[str, list[str]]:
    """The images of each folder, called by it where it is one of several; folders of equal names are one image each."""
    found: dict[str, list[str]] = {}
    inside: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for each in parts:
        inside[each[:-1]].append(each[-1])
    stems = [{_stem(base, files) for base in bases} for bases in inside.values()]
    are_alike = len(stems) > 1 and 2 * len(set.intersection(*stems)) > len(set.union(*stems))
    for folder, bases in inside.items():
        images = {"": [_any(bases, files)]} if are_alike else _flat(bases, files)
        for name, patterns in images.items():
            called = "_".join(filter(None, (*(folder[place] for place in varying), name)))
            found[called] = ["/".join([*folder, pattern]) for pattern in patterns]
    return found


def _folders_of_cases(parts: Sequence[tuple[str, ...]], varying: Sequence[int], files: Files) -> dict[str, list[str]]:
    """The names that most folders have; the name of a folder in that of its files is a placeholder too."""
    places = {place: f"{{folder{number or ''}}}" for number, place in enumerate(varying[:-1])} | {varying[-1]: CASE}
    if len(varying) > 1 and all(re.match(r"sub|pat", each[varying[0]], re.IGNORECASE) for each in parts):
        places[varying[0]] = "{subject}"
    counts: Counter[str] = Counter()
    for each in parts:
        base = each[-1]
        for place, placeholder in places.items():
            base = base.replace(each[place], placeholder)
        counts["/".join([*(places.get(place, part) for place, part in enumerate(each[:-1])), base])] += 1
    half = len({each[:-1] for each in parts}) / 2
    kept = [pattern for pattern, count in counts.items() if count >= max(half, 2)]
    return _stacked({
        re.sub(r"\{\w+\}", "", _stem(pattern.rpartition("/")[2], files)).strip("_-."): pattern
        for pattern in kept
    })  # fmt: skip


def _stacked(patterns: Mapping[str, str]) -> dict[str, list[str]]:
    """The images of these names; those that are all nnU-Net's numbers are the channels of one."""
    if all(CHANNEL.fullmatch(name) for name in patterns):
        return {"": sorted(patterns.values())} if patterns else {}
    return {name: [pattern] for name, pattern in patterns.items()}


def _flat(bases: Sequence[str], files: Files) -> dict[str, list[str]]:
    """The images of one folder by the last or the first part of their names; "" is the only one."""
    if len(bases) < 2:
        return {}
    for expression, pattern in ((LAST, "{{case}}{mark}{image}{end}"), (FIRST, "{image}{mark}{{case}}{end}")):
        cases: defaultdict[str, set[str]] = defaultdict(set)
        patterns: dict[str, str] = {}
        for base in bases:
            stem = _stem(base, files)
            if match := expression.fullmatch(stem):
                cases[match["image"]].add(match["case"])
                patterns[match["image"]] = pattern.format(**match.groupdict(), end=base[len(stem) :])
        every = set().union(*cases.values())
        often = [image for image, own in cases.items() if 2 * len(own) >= len(every) > 1]
        if 1 < len(often) <= MOST_IMAGES and any(NAMED.fullmatch(image) for image in often):
            return _stacked({image: patterns[image] for image in often})
    return {"": [_any(bases, files)]}


def _any(bases: Sequence[str], files: Files) -> str:
    """The pattern of every file of a folder with the ending that most of them have."""
    return CASE + Counter(base[len(_stem(base, files)) :] for base in bases).most_common(1)[0][0]


def _by_subject(found: Mapping[str, list[str]], names: Sequence[str]) -> dict[str, list[str]]:
    """The patterns with `{subject}_{visit}` in place of `{case}` where subjects have several cases by their names."""
    pattern = next(iter(found.values()))[0]
    expression = name_expression(pattern)
    cases = {match["case"] for name in names if (match := expression.fullmatch(name))}
    cut = {case: VISIT.fullmatch(case) for case in cases}
    subjects = {match[1] for match in cut.values() if match}
    marks = {match[2] for match in cut.values() if match}
    if not all(cut.values()) or len(marks) != 1 or not 1 < len(subjects) < len(cases) or "{subject}" in pattern:
        return dict(found)
    both = f"{{subject}}{marks.pop()}{{part}}"
    return {image: [pattern.replace(CASE, both) for pattern in patterns] for image, patterns in found.items()}


def _stem(base: str, files: Files) -> str:
    ending = files.ending(base)
    return base[: -len(ending)] if ending else base
