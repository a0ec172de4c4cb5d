"""Examples from cases: a slice of each of their images, with masks and labels, moved alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.cases import Case
from i2i_forge.data.decode import decode
from i2i_forge.data.domains import Domains
from i2i_forge.data.layers import Picture, Planes, same_size
from i2i_forge.data.ranges import Values, order_statistics
from i2i_forge.data.space import ImageSpace, Quantity
from i2i_forge.data.stream import spread
from i2i_forge.data.transforms import Transform, to_tensor
from i2i_forge.data.volume_cache import Kept, facts
from i2i_forge.data.volumes import Plane, Volume, differences
from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Percentile

OPEN = 512  # volumes that stay open, each a mapped file
SHARE = re.compile(r"(\w+) *> *([0-9.eE+-]+)(?: *@ *([0-9-]+))?")


class CaseSource:
    """Slices of cases.

    Args:
        cases: not empty.
        names: the images of an example, those of a domain that is translated first.
        domains: what they are.
        transform: how they are augmented.
        plane: across which axis volumes are cut.
        keep: which slices are examples: "all", or "NAME > SHARE" of pixels of a label image, "NAME > SHARE @ LABEL".
        cache: see `volume_cache.kept`.

    Raises:
        DataError: files cannot be used, or do not lie on one grid; no slice is left.
    """

    def __init__(
        self, cases: Sequence[Case], names: Sequence[str], domains: Domains, transform: Transform, *,
        plane: Plane = "axial", keep: str = "all", cache: Kept = "disk",
    ) -> None:  # fmt: skip
        self.cases, self.names, self.domains, self.transform = list(cases), list(names), domains, transform
        self.plane, self.cache = plane, cache
        self.volumes = lru_cache(OPEN if cache == "disk" else 2 * len(self.names))(self._open)
        self._spaces: dict[tuple[int, str], ImageSpace] = {}
        self.counts = [self._count(case) for case in range(len(self.cases))]
        kept = [self._kept(case, keep) for case in range(len(self.cases))]
        self.places = np.concatenate([np.stack([np.full(len(k), i), k], 1) for i, k in enumerate(kept)])
        if not len(self.places):
            raise DataError(f"data.slices.train: {keep} leaves no slice", fix="lower the share, or say all")

    def __len__(self) -> int:
        return len(self.places)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """By name: images C,H,W in [-1, 1], labels as whole numbers 1,H,W, weights float32 in their unit."""
        case, place = self.place(index)
        draw = self.transform.draw(random)
        layers: dict[str, Any] = {}
        for name in self.names:
            layers |= self._layers(case, name, place)
        same_size(layers)
        moved = self.transform.together(layers, draw)
        found = {name: self._tensor(case, name, layer) for name, layer in moved.items()}
        if draw is not None and (augment := self.transform.augment):
            found |= {
                name: augment.intensities(name, found[name], draw.more) for name in augment.changed() & found.keys()
            }
        return found

    def name(self, index: int) -> str:
        """The file of the first image, and the slice."""
        case, place = self.place(index)
        file = self.cases[case].files[self.names[0]][0]
        return str(file) if self.counts[case] == 1 else f"{file} slice {place + 1}/{self.counts[case]}"

    def group(self, index: int) -> str:
        """What the example must not be parted from."""
        return self.cases[self.place(index)[0]].group

    def place(self, index: int) -> tuple[int, int]:
        """The numbers of its case and of its slice."""
        case, place = self.places[index].tolist()
        return case, place

    def preview(self, count: int) -> list[int]:
        """Examples to look at: the middle slices of cases, evenly spread."""
        first = np.searchsorted(self.places[:, 0], np.arange(len(self.cases)))
        last = np.searchsorted(self.places[:, 0], np.arange(len(self.cases)), side="right")
        middles = [(a + b) // 2 for a, b in zip(first.tolist(), last.tolist(), strict=True) if b > a]
        return [middles[number] for number in spread(count, len(middles))]

    def ranges(self, name: str) -> list[tuple[float, float]]:
        """The range of each band of an image over all slices of all cases, where it is found in them."""
        known = self.domains[name]
        return [
            (band.low, band.high) if said is None else self._range(name, number, said, range(len(self.cases)))
            for number, (band, said) in enumerate(zip(known.bands, known.percentiles(), strict=True))
        ]

    def space(self, case: int, name: str) -> ImageSpace:
        """What an image of a case is: with the range of this case, if each has its own."""
        space = self.domains[name]
        if space.is_known or not any(p and p.over == "case" for p in space.percentiles()):
            return space
        if (case, name) not in self._spaces:
            stored = self.volumes(case, name)[0].stored
            said = hashlib.sha256(repr(space.data()).encode()).hexdigest()[:16]
            found = facts(stored, f"range-{said}", lambda: np.array(self._case_ranges(case, name)))
            self._spaces[case, name] = space.with_ranges([(low, high) for low, high in found.tolist()])
        return self._spaces[case, name]

    def quantity(self, case: int, name: str, place: int) -> Quantity:
        """The stored quantity of a slice, C,H,W, of all files that are stacked."""
        each = 2 * self.domains[name].domain.neighbours + 1
        parts = [volume.quantity(place) for volume in self.volumes(case, name)]
        whole = np.concatenate([q.reshape(each, -1, *q.shape[1:]) for q in parts], 1)
        return whole.reshape(-1, *whole.shape[2:])

    def _open(self, case: int, name: str) -> list[Volume]:
        files = self.cases[case].files[name]
        stored = [self.domains.files.open(path) for path in files]
        spaces = self.domains[name].parts(len(files))
        return [Volume(s, space, self.plane, self.cache) for s, space in zip(stored, spaces, strict=True)]

    def _count(self, case: int) -> int:
        """How many slices a case has. Raises DataError where its files do not lie on one grid."""
        measured = [name for name in self.names if not self.domains[name].is_rgb8]
        volumes = [(name, volume) for name in measured for volume in self.volumes(case, name)]
        if said := differences((str(volume.stored.path), volume.header) for _, volume in volumes):
            raise DataError(f"case {self.cases[case].name}: {said}", fix="resample them onto one grid first")
        counts = {len(volume) for _, volume in volumes}
        if len(counts) > 1:
            raise DataError(
                f"case {self.cases[case].name} has files of {sorted(counts)} slices", fix="see `axes` of the domains"
            )
        return counts.pop() if counts else 1

    def _kept(self, case: int, keep: str) -> NDArray[np.int64]:
        if keep == "all":
            return np.arange(self.counts[case])
        match = SHARE.fullmatch(keep)
        if not match or match[1] not in self.names:
            raise DataError(
                f"data.slices.train: {keep!r} is no condition", fix="write all, or mask > 0.01, or mask > 0.01 @ 2"
            )
        name, share, label = match[1], float(match[2]), match[3]
        volume = self.volumes(case, name)[0]

        def shares() -> NDArray[np.float64]:
            planes = (volume.quantity(place) for place in range(len(volume)))
            return np.array([float((q == float(label) if label else q > 0).mean()) for q in planes])

        return np.flatnonzero(facts(volume.stored, f"share-{self.plane}-{label or 'all'}", shares) > share)

    def _layers(self, case: int, name: str, place: int) -> dict[str, Picture | Planes]:
        space = self.domains[name]
        if space.is_rgb8:
            return {name: Picture(decode(self.cases[case].files[name][0]))}
        space = self.space(case, name)
        quantity, valid, fills = space.filled(self.quantity(case, name, place))
        layers: dict[str, Picture | Planes] = {name: Planes(quantity, fills, nearest=space.kind == "labels")}
        if f"valid_{name}" in self.domains:
            layers[f"valid_{name}"] = Planes(valid[None].astype(np.float64), [0.0], nearest=True)
        return layers

    def _tensor(self, case: int, name: str, layer: Picture | Planes) -> Tensor:
        if isinstance(layer, Picture):
            return to_tensor(layer.image)
        if name in self.domains.translated:
            return self.space(case, name).to_tensor(np.ascontiguousarray(layer.array))
        return further(self.domains[name] if name not in self.names else self.space(case, name), layer.array, name)

    def _case_ranges(self, case: int, name: str) -> list[tuple[float, float]]:
        space = self.domains[name]
        return [
            (band.low, band.high) if said is None else self._range(name, number, said, [case])
            for number, (band, said) in enumerate(zip(space.bands, space.percentiles(), strict=True))
        ]

    def _range(self, name: str, band: int, said: Percentile, cases: Sequence[int]) -> tuple[float, float]:
        bands = range(len(self.domains[name].bands)) if self.domains[name].domain.share else [band]
        low, high = order_statistics(partial(self._values, name, bands, said.within, cases), said.percentile)
        if not low < high:
            raise DataError(f"domains.{name}.range: {said.percentile} per cent are both {low:g}", fix="take wider ones")
        return low, high

    def _values(self, name: str, bands: Sequence[int], within: str, cases: Sequence[int]) -> Iterator[Values]:
        """The values in `unit` of all slices of some cases, in parts."""
        space = self.domains[name]
        middle = space.domain.neighbours * len(space.bands)
        if within not in ("all", "nonzero", *self.names):
            raise DataError(f"domains.{name}.range: there is no image '{within}'", fix="name it in data.files")
        for case in cases:
            for place in range(self.counts[case]):
                quantity = self.quantity(case, name, place)[middle : middle + len(space.bands)]
                inside = self.quantity(case, within, place)[0] > 0 if within in self.names else None
                for band in bands:
                    stored = quantity[band] if inside is None else quantity[band][inside]
                    stored = stored[stored != 0] if within == "nonzero" else stored
                    yield space.bands[band].converted(torch.from_numpy(stored)).numpy().astype(np.float32)


def further(space: ImageSpace, array: NDArray[Any], name: str) -> Tensor:
    """A further image as terms and passes get it: labels as whole numbers, weights as they are, others in [-1, 1]."""
    if space.kind == "weight":
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))
    if space.kind != "labels":
        return space.to_tensor(np.ascontiguousarray(array))
    whole = np.rint(array)
    if not (whole == array).all():
        raise DataError(f"{name}: labels are whole numbers, these are not", fix="say another `kind` of its domain")
    small = whole.min() >= 0 and whole.max() <= 255
    if not small:
        raise DataError(f"{name}: labels from {whole.min():g} to {whole.max():g}", fix="number them from 0 to 255")
    return torch.from_numpy(np.ascontiguousarray(whole, np.uint8))


class CaseByCase(CaseSource):
    """The same, one case after the other, so that each volume is decoded once in an epoch."""

    def order(self, random: torch.Generator) -> Sequence[int]:
        """All indices: cases in a drawn order, and the slices of each in one."""
        cases = torch.randperm(len(self.cases), generator=random).tolist()
        slices = torch.rand(len(self), generator=random).numpy()
        rank = np.empty(len(self.cases), np.int64)
        rank[cases] = np.arange(len(cases))
        return np.lexsort((slices, rank[self.places[:, 0]])).tolist()  # type: ignore[no-any-return]
