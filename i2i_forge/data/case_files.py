"""The files of cases, opened: quantities by case and slice, on one grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from i2i_forge.data.cases import Case
from i2i_forge.data.decode import OnBad
from i2i_forge.data.domains import Domains
from i2i_forge.data.file_checks import BadImage
from i2i_forge.data.space import Quantity
from i2i_forge.data.stored import Stored
from i2i_forge.data.volume_cache import Kept
from i2i_forge.data.volumes import Plane, Volume, differences
from i2i_forge.errors import DataError

log = logging.getLogger("i2i_forge")
OPEN = 128  # files that stay mapped: each takes a descriptor, of which a process often has 1,024


class CaseFiles:
    """The measured images of cases.

    Args:
        cases: not empty.
        names: their images.
        domains: what these are.
        plane: across which axis volumes are cut.
        cache: see `volume_cache.kept`.
        on_bad: "skip" leaves out cases whose files are refused by their headers.

    Attributes:
        counts: how many slices each case has.

    Raises:
        DataError: files cannot be used, or those of a case do not lie on one grid.
    """

    def __init__(
        self, cases: Sequence[Case], names: Sequence[str], domains: Domains, plane: Plane = "axial",
        cache: Kept = "disk", on_bad: OnBad = "error",
    ) -> None:  # fmt: skip
        self.cases, self.names, self.domains, self.plane, self.cache = list(cases), list(names), domains, plane, cache
        self._remember()
        counts = [self._count(case, on_bad) for case in range(len(self.cases))]
        if not all(counts):
            self.cases = [case for case, count in zip(cases, counts, strict=True) if count]
            if not self.cases:
                raise DataError(f"none of {len(counts)} cases can be used", fix="see the warnings above")
            self._remember()
        self.counts = [count for count in counts if count]
        self._refuse_mixed_polarity()

    def quantity(self, case: int, name: str, place: int) -> Quantity:
        """The stored quantity of a slice, C,H,W, of all files that are stacked."""
        each = 2 * self.domains[name].domain.neighbours + 1
        parts = [volume.quantity(place) for volume in self.volumes(case, name)]
        if len(parts) == 1:
            return parts[0]
        whole = np.concatenate([q.reshape(each, -1, *q.shape[1:]) for q in parts], 1)
        return whole.reshape(-1, *whole.shape[2:])

    def stored(self, case: int, name: str) -> list[Stored]:
        """The files of an image, opened anew."""
        return [self.domains.files.open(path) for path in self.cases[case].files[name]]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("volumes", "opened")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._remember()

    def _remember(self) -> None:
        most = max(len(stack) for case in self.cases for stack in case.files.values())
        self.opened = lru_cache(None)(self.stored)  # headers are read once
        self.volumes = lru_cache(max(1, OPEN // most) if self.cache == "disk" else 2 * len(self.names))(self._open)

    def _open(self, case: int, name: str) -> list[Volume]:
        stored = self.opened(case, name)
        spaces = self.domains[name].parts(len(stored))
        return [Volume(s, space, self.plane, self.cache) for s, space in zip(stored, spaces, strict=True)]

    def _count(self, case: int, on_bad: OnBad) -> int:
        """How many slices a case has; 0 of one that is left out."""
        try:
            return self._slices(case)
        except BadImage as error:
            if on_bad != "skip":
                raise
            log.warning("case %s is left out: %s", self.cases[case].name, error.message)
            return 0

    def _slices(self, case: int) -> int:
        """How many slices a case has. Raises DataError where its files do not lie on one grid."""
        measured = [name for name in self.names if not self.domains[name].is_rgb8]
        volumes = [volume for name in measured for volume in self.volumes(case, name)]
        if not volumes:
            return 1
        if said := differences((str(volume.stored.path), volume.header) for volume in volumes):
            raise DataError(f"case {self.cases[case].name}: {said}", fix="resample them onto one grid first")
        counts = {len(volume) for volume in volumes}
        if len(counts) > 1:
            raise DataError(
                f"case {self.cases[case].name} has files of {sorted(counts)} slices", fix="see `axes` of the domains"
            )
        return counts.pop()

    def _refuse_mixed_polarity(self) -> None:
        """Raise DataError where some files of a domain show white as high and others as low, and it does not care."""
        for name in self.names:
            if self.domains[name].is_rgb8 or self.domains[name].domain.polarity != "stored":
                continue
            seen: dict[str, Stored] = {}
            for case in range(len(self.cases)):
                for stored in self.opened(case, name):
                    seen.setdefault(stored.header.polarity, stored)
            seen.pop("", None)
            if len(seen) > 1:
                one, two = (f"{stored.path} shows {polarity.replace('_', ' ')}" for polarity, stored in seen.items())
                raise DataError(f"domains.{name}: {one}, and {two}",
                                fix=f"say domains.{name}.polarity: white_is_high")  # fmt: skip
