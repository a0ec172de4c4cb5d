"""Ranges of values that are found in the images of cases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.ranges import Values, order_statistics
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.volume_cache import facts
from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Origin, Percentile


def case_ranges(
    source: CaseFiles, name: str, over: str = "training", cases: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """For each band of an image what takes the place of a range that is found in images: its numbers and origin.

    Args:
        over: which ranges are found; others stay as they are, {}.
        cases: in which cases; by default in all.
    """
    found: list[dict[str, Any]] = []
    chosen = range(len(source.cases)) if cases is None else cases
    for number, said in enumerate(source.domains[name].percentiles()):
        if said is None or said.over != over:
            found.append({})
            continue
        origin = Origin(**said.model_dump(by_alias=True), cases=len(chosen), sha256=names_digest(source, name, chosen))
        found.append({"range": _range(source, name, number, said, chosen), "range_from": origin})
    return found


def case_space(source: CaseFiles, case: int, name: str) -> ImageSpace:
    """What an image of a case is: with the range of this case, where each has its own."""
    space = source.domains[name]
    asked = [said is not None and said.over == "case" for said in space.percentiles()]
    if not any(asked):
        return space

    def ends() -> NDArray[np.float64]:
        return np.array([found.get("range", (0, 0)) for found in case_ranges(source, name, "case", [case])])

    files = [stored for each in (name, *_masks(source, name)) for stored in source.opened(case, each)]
    found = facts(files, ("range", space.data()), ends).tolist()
    return space.with_ranges(
        [{"range": tuple(each)} if is_asked else {} for each, is_asked in zip(found, asked, strict=True)]
    )


def names_digest(source: CaseFiles, name: str, cases: Sequence[int]) -> str:
    """SHA-256 of the names and sizes of the files that a range is found in."""
    files = [file for case in cases for each in (name, *_masks(source, name)) for file in source.opened(case, each)]
    named = [(file.path.parent.name, file.path.name, sum(size for _, size, *_ in file.stamps())) for file in files]
    listed = "\n".join(f"{folder}/{file} {size}" for folder, file, size in named)
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


def _masks(source: CaseFiles, name: str) -> list[str]:
    """The further images in which values are taken."""
    within = {said.within for said in source.domains[name].percentiles() if said}
    return [each for each in source.names if each in within]


def _range(source: CaseFiles, name: str, band: int, said: Percentile, cases: Sequence[int]) -> tuple[float, float]:
    bands = range(len(source.domains[name].bands)) if source.domains[name].domain.share else [band]
    low, high = order_statistics(partial(_values, source, name, bands, said.within, cases), said.percentile)
    if not low < high:
        raise DataError(f"domains.{name}.range: {said.percentile} per cent are both {low:g}", fix="take wider ones")
    return low, high


def _values(source: CaseFiles, name: str, bands: Sequence[int], within: str, cases: Sequence[int]) -> Iterator[Values]:
    """The values in `unit` of all slices of some cases, in parts."""
    space = source.domains[name]
    middle = space.domain.neighbours * len(space.bands)
    if within not in ("all", "nonzero", *source.names):
        raise DataError(
            f"domains.{name}.range: values are taken in '{within}', and {source.cases[cases[0]].name} has none",
            fix=f"name it in data.files; or for one translation: --files {within}=PATTERN",
        )
    for case in cases:
        for place in range(source.counts[case]):
            quantity = source.quantity(case, name, place)[middle : middle + len(space.bands)]
            inside = source.quantity(case, within, place)[0] > 0 if within in source.names else None
            for band in bands:
                stored = quantity[band] if inside is None else quantity[band][inside]
                stored = stored[stored != 0] if within == "nonzero" else stored
                yield space.bands[band].converted(torch.from_numpy(stored)).numpy().astype(np.float32)
