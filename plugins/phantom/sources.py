"""Slices of subjects that are drawn when they are asked for: cases without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from i2i_forge.data import Case, CaseSource, Codes, Domains, Header, Stored, Transform, grid_digest

from .body import SIDE, SLICES, SPACING, SUBJECTS, Array, subject

# Slices go up, rows to the back, columns to the left; the first voxel is the origin.
AFFINE = ((0.0, 0.0, SPACING[2], 0.0), (0.0, SPACING[1], 0.0, 0.0), (SPACING[0], 0.0, 0.0, 0.0))

drawn = lru_cache(SUBJECTS)(subject)


def header(name: str, volume: Array) -> Header:
    """Of an image of a subject."""
    return Header(
        rows=SIDE, columns=SIDE, axes=(("z", SLICES),), dtype=volume.dtype.name, spacing=SPACING, affine=AFFINE,
        orientation="LPS", unit="HU" if name == "ct" else "", grid=grid_digest(SIDE, SIDE, SLICES, AFFINE), is_raw=True,
    )  # fmt: skip


class Drawn(Stored):
    """An image of a subject, "subject_3/ct", as if it were a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = int(path.parent.name.rpartition("_")[2])
        self.header = header(path.name, drawn(self.number)[path.name])

    def stamps(self) -> list[tuple[str, int, int, int]]:
        """None."""
        return []

    def array(self) -> Codes:
        """See Stored."""
        return drawn(self.number)[self.path.name][:, np.newaxis]


class Slices(CaseSource):
    """The slices of some subjects.

    Args:
        subjects: their numbers.
        images: name of an image of an example -> those of the subject that are its channels.
        domains, transform: see CaseSource.
    """

    def __init__(
        self, subjects: Sequence[int], images: Mapping[str, Sequence[str]], domains: Domains, transform: Transform
    ) -> None:
        cases = []
        for number in subjects:
            files = {name: tuple(Path(f"subject_{number}", each) for each in stack) for name, stack in images.items()}
            cases.append(Case(f"subject_{number}", f"subject_{number}", files))
        super().__init__(cases, list(images), domains, transform)

    def stored(self, case: int, name: str) -> list[Stored]:
        """See CaseFiles."""
        return [Drawn(path) for path in self.cases[case].files[name]]
