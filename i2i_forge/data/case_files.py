"""The files of cases, opened: quantities by case and slice, on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from i2i_forge.data.cases import Case
from i2i_forge.data.domains import Domains
from i2i_forge.data.space import Quantity
from i2i_forge.data.stored import Stored
from i2i_forge.data.volume_cache import Kept
from i2i_forge.data.volumes import Plane, Volume, differences
from i2i_forge.errors import DataError

OPEN = 512  # volumes that stay open, each a mapped file


class CaseFiles:
    """The measured images of cases.

    Args:
        cases: not empty.
        names: their images.
        domains: what these are.
        plane: across which axis volumes are cut.
        cache: see `volume_cache.kept`.

    Attributes:
        counts: how many slices each case has.

    Raises:
        DataError: files cannot be used, or those of a case do not lie on one grid.
    """

    def __init__(
        self, cases: Sequence[Case], names: Sequence[str], domains: Domains, plane: Plane = "axial",
        cache: Kept = "disk",
    ) -> None:  # fmt: skip
        self.cases, self.names, self.domains, self.plane, self.cache = list(cases), list(names), domains, plane, cache
        self._remember()
        self.counts = [self._count(case) for case in range(len(self.cases))]

    def quantity(self, case: int, name: str, place: int) -> Quantity:
        """The stored quantity of a slice, C,H,W, of all files that are stacked."""
        each = 2 * self.domains[name].domain.neighbours + 1
        parts = [volume.quantity(place) for volume in self.volumes(case, name)]
        whole = np.concatenate([q.reshape(each, -1, *q.shape[1:]) for q in parts], 1)
        return whole.reshape(-1, *whole.shape[2:])

    def stored(self, case: int, name: str) -> list[Stored]:
        """The files of an image, opened."""
        return [self.domains.files.open(path) for path in self.cases[case].files[name]]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "volumes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._remember()

    def _remember(self) -> None:
        self.volumes = lru_cache(OPEN if self.cache == "disk" else 2 * len(self.names))(self._open)

    def _open(self, case: int, name: str) -> list[Volume]:
        stored = self.stored(case, name)
        spaces = self.domains[name].parts(len(stored))
        return [Volume(s, space, self.plane, self.cache) for s, space in zip(stored, spaces, strict=True)]

    def _count(self, case: int) -> int:
        """How many slices a case has. Raises DataError where its files do not lie on one grid."""
        measured = [name for name in self.names if not self.domains[name].is_rgb8]
        volumes = [(name, volume) for name in measured for volume in self.volumes(case, name)]
        if not volumes:
            return 1
        if said := differences((str(volume.stored.path), volume.header) for _, volume in volumes):
            raise DataError(f"case {self.cases[case].name}: {said}", fix="resample them onto one grid first")
        counts = {len(volume) for _, volume in volumes}
        if len(counts) > 1:
            raise DataError(
                f"case {self.cases[case].name} has files of {sorted(counts)} slices", fix="see `axes` of the domains"
            )
        return counts.pop()
