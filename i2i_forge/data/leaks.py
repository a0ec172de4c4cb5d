"""What a recipe's training and test images share: groups, and images of the same content under whatever name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.case_source import CaseSource
from i2i_forge.data.cases import Case
from i2i_forge.data.decode import decode
from i2i_forge.data.domains import Domains, build_dataset
from i2i_forge.data.file_values import plane_digest
from i2i_forge.data.source import Dataset, Source, without_tests
from i2i_forge.data.splits import SPLITS, refuse_divided_groups
from i2i_forge.errors import DataError
from i2i_forge.recipe.reading import Recipe

Progress = Callable[[int, int], None]


def check_data(recipe: Recipe, catalog: Catalog, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Open the data sets of a recipe, and compare the groups and images of the main one's two splits.

    Args:
        progress: called with how many examples were compared, of how many.

    Returns:
        "groups" and "images": of each split how many; "shared": the domains that have no test images of their own,
        whose images are not compared.

    Raises:
        DataError: files are missing, damaged or lie on different grids; a group is in both splits; or an image of
            training is in the test split under another name.
    """
    described = Domains.of(recipe, catalog)
    for name, spec in recipe.data.streams.items():
        where = "data" if name == "main" else f"data.{name}"
        dataset: Dataset = build_dataset(spec.use, spec.options, described, catalog, where)
        splits = SPLITS if name == "main" else SPLITS[:1]
        # one that takes other images for damaged ones has the source inside
        sources = {split: [getattr(s, "source", s) for s in dataset.sources(split)] for split in splits}
        if name == "main":
            shared, tests = without_tests(dataset), sources
    if not shared:
        _compare_groups(tests)
        _compare_images(tests, described, progress)
    return {
        "groups": {split: len({g for s in each for g in _groups(s)}) for split, each in tests.items()},
        "images": {split: len(each[0]) for split, each in tests.items()},
        "shared": list(shared),
    }


def _cases(source: Source) -> Sequence[Case]:
    return source.cases if isinstance(source, CaseSource) else ()


def _groups(source: Source) -> Iterable[str]:
    return (case.group for case in _cases(source)) if _cases(source) else map(source.name, range(len(source)))


def _compare_groups(splits: Mapping[str, Sequence[Source]]) -> None:
    """Names of files in two folders may be alike by chance: a group is what a pattern says."""
    cases = {split: [case for source in sources for case in _cases(source)] for split, sources in splits.items()}
    refuse_divided_groups({
        split: [case for case in each if case.values or case.group != case.name] for split, each in cases.items()
    })  # fmt: skip


def _compare_images(splits: Mapping[str, Sequence[Source]], described: Domains, progress: Progress) -> None:
    parts = [
        (split, source, number)
        for split, sources in splits.items() for source in sources
        for number in range(len(_cases(source) or source))
    ]  # fmt: skip
    known: dict[tuple[str, str], str] = {}
    for done, (split, source, number) in enumerate(parts, 1):
        for name, digest, file in _images(source, number, described):
            if split == SPLITS[0]:
                known.setdefault((name, digest), file)
            elif (name, digest) in known:
                raise DataError(
                    f"the same image of {name} is in training and in test: {known[name, digest]} and {file}",
                    fix="remove one of them: a test with training images says nothing about new ones",
                )
        progress(done, len(parts))


def _images(source: Source, number: int, described: Domains) -> Iterator[tuple[str, str, str]]:
    """Of a case or an example: the name of each image, what identifies its content, and its file."""
    if not isinstance(source, CaseSource):
        for name, image in source.example(number, None).items():
            yield name, described[name].digest(image), source.name(number)
        return
    for name in source.names:
        if name in described.translated and source.domains[name].kind != "labels":  # masks and labels are often alike
            yield from ((name, digest, file) for digest, file in _planes(source, number, name) if digest)


def _planes(source: CaseSource, case: int, name: str) -> Iterator[tuple[str, str]]:
    """By codes, since two ranges make two tensors of one slice; "" of a plane of one code."""
    count = source.counts[case]
    if source.domains[name].is_rgb8:
        for file in source.cases[case].files[name]:
            yield plane_digest(np.asarray(decode(file))), str(file)
        return
    for volume in source.volumes(case, name):
        for place in range(len(volume)):
            at = f" slice {place + 1}/{count}" if count > 1 else ""
            yield plane_digest(volume.planes[place]), f"{volume.stored.path}{at}"
