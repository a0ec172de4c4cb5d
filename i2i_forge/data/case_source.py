"""Examples from cases: a slice of each of their images, with masks and labels, moved alike."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.case_ranges import case_ranges, case_space
from i2i_forge.data.cases import Case
from i2i_forge.data.decode import OnBad, decode
from i2i_forge.data.domains import Domains
from i2i_forge.data.layers import Picture, Planes, same_size
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stream import spread
from i2i_forge.data.transforms import Transform, to_tensor
from i2i_forge.data.volume_cache import Kept, facts
from i2i_forge.data.volumes import Plane
from i2i_forge.errors import DataError, suggest

SHARE = re.compile(r"(\w+) *> *(\d*\.?\d+(?:[eE][+-]?\d+)?)(?: *@ *(-?\d+))?")


def case_transform(
    domains: Domains, names: Collection[str], *, size: int | list[int], resize: int | None, flip: bool,
    test_crop: bool, augment: Mapping[str, Any] | None,
) -> Transform:  # fmt: skip
    """A transform of images that keep their grid unless `resize` is said, see `Transform`.

    Args:
        names: the images that there are.

    Raises:
        DataError: an option does not make sense, or intensities of labels or of values with a unit would be changed.
    """
    transform = Transform(size, resize, flip, test_crop, augment, native=True)
    if (said := transform.augment) is None:
        return transform
    for key in ("foreground", "jitter", "noise"):
        for name in getattr(said, key):
            if name not in names:
                raise DataError(f"augment.{key}: there is no image '{name}'", fix=suggest(name, names))
            if key == "foreground" and domains[name].is_rgb8:
                raise DataError(
                    f"augment.{key}: {name} is 8-bit RGB", fix="name a mask: domains: {mask: {kind: labels}}"
                )
            if key != "foreground":
                _check_intensities(f"augment.{key}.{name}", domains[name])
    for name, jitter in said.jitter.items():
        if (units := domains[name].units) and not jitter.allow_unit:
            raise DataError(
                f"augment.jitter.{name}: its values are {', '.join(units)}, and jitter would change what they mean",
                fix="leave it out, or say allow_unit: true",
            )
    return transform


def _check_intensities(where: str, space: ImageSpace) -> None:
    if kinds := {band.channel.kind for band in space.bands} & {"labels", "weight"}:
        raise DataError(f"{where}: it has {kinds.pop()}, which are no intensities", fix="leave it out")


class CaseSource(CaseFiles):
    """Slices of cases.

    Args:
        cases: not empty.
        names: the images of an example, those of a domain that is translated first.
        domains: what they are.
        transform: how they are augmented.
        plane: across which axis volumes are cut.
        keep: which slices are examples: "all", or "NAME > SHARE" of pixels of a label image, "NAME > SHARE @ LABEL".
        cache, on_bad: see `CaseFiles`.

    Raises:
        DataError: files cannot be used, or do not lie on one grid; no slice is left.
    """

    def __init__(
        self, cases: Sequence[Case], names: Sequence[str], domains: Domains, transform: Transform, *,
        plane: Plane = "axial", keep: str = "all", cache: Kept = "disk", on_bad: OnBad = "error",
    ) -> None:  # fmt: skip
        super().__init__(cases, names, domains, plane, cache, on_bad)
        self.transform = transform
        self._spaces: dict[tuple[int, str], ImageSpace] = {}
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
        try:
            same_size(layers)
            moved = self.transform.together(layers, draw)
            found = {name: self._tensor(case, name, layer) for name, layer in moved.items()}
        except DataError as error:
            raise DataError(f"{self.name(index)}: {error.message}", fix=error.fix) from error
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
        """Examples to look at: the middle slices of cases, evenly spread; of fewer cases, slices spread over each."""
        first = np.searchsorted(self.places[:, 0], np.arange(len(self.cases)))
        last = np.searchsorted(self.places[:, 0], np.arange(len(self.cases)), side="right")
        spans = [(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True) if b > a]
        each = max(1, -(-count // len(spans)))  # slices of a case
        places = [a + (2 * k + 1) * (b - a) // (2 * each) for a, b in spans for k in range(each)]
        return [places[number] for number in spread(count, len(places))]

    def ranges(self, name: str) -> list[dict[str, Any]]:
        """See `case_ranges`: what is found in all cases."""
        return case_ranges(self, name)

    def stored_as(self, name: str) -> dict[str, Any]:
        """How the codes of an image's files are stored, by the first: dtype, slope and offset."""
        header = self.opened(0, name)[0].header
        dtype = "uint8" if header.dtype == "bool" else header.dtype
        return {"dtype": dtype, "slope": header.slope[0], "offset": header.offset[0]}

    def space(self, case: int, name: str) -> ImageSpace:
        """See `case_space`."""
        if (case, name) not in self._spaces:
            self._spaces[case, name] = case_space(self, case, name)
        return self._spaces[case, name]

    def _kept(self, case: int, keep: str) -> NDArray[np.int64]:
        if keep == "all":
            return np.arange(self.counts[case])
        match = SHARE.fullmatch(keep)
        if not match or match[1] not in self.names:
            raise DataError(
                f"data.slices.train: {keep!r} is no condition on {' or '.join(self.names)}",
                fix="write all, or mask > 0.01, or mask > 0.01 @ 2",
            )
        name, share, label = match[1], float(match[2]), match[3]
        if self.domains[name].is_rgb8:
            raise DataError(f"data.slices.train: {name} is 8-bit RGB", fix=f"say domains: {{{name}: {{kind: labels}}}}")
        volume = self.volumes(case, name)[0]

        def shares() -> NDArray[np.float64]:
            planes = (volume.quantity(place) for place in range(len(volume)))
            return np.array([float((q == float(label) if label else q > 0).mean()) for q in planes])

        what = ("share", self.plane, label, self.domains[name].data())
        return np.flatnonzero(facts([volume.stored], what, shares) > share)

    def _layers(self, case: int, name: str, place: int) -> dict[str, Picture | Planes]:
        space = self.domains[name]
        if space.is_rgb8:
            files = self.cases[case].files[name]
            if len(files) > 1:
                raise DataError(
                    f"{len(files)} files are stacked, and {name} is 8-bit RGB", fix=f"describe domains.{name}"
                )
            return {name: Picture(decode(files[0]))}
        space = self.space(case, name)
        quantity, valid, fills = space.filled(self.quantity(case, name, place))
        layers: dict[str, Picture | Planes] = {name: Planes(quantity, fills, space.are_labels)}
        if f"valid_{name}" in self.domains:
            layers[f"valid_{name}"] = Planes(valid[None].astype(np.float64), [0.0], [True])
        return layers

    def _tensor(self, case: int, name: str, layer: Picture | Planes) -> Tensor:
        if isinstance(layer, Picture):
            return to_tensor(layer.image)
        if name in self.domains.translated:
            return self.space(case, name).to_tensor(np.ascontiguousarray(layer.array))
        return further(self.domains[name] if name not in self.names else self.space(case, name), layer.array, name)


def further(space: ImageSpace, array: NDArray[Any], name: str) -> Tensor:
    """A further image as terms and passes get it: labels as whole numbers, weights as they are, others in [-1, 1]."""
    if space.kind == "weight":
        bands = space.bands * (len(array) // len(space.bands))
        planes = zip(bands, torch.from_numpy(np.ascontiguousarray(array)), strict=True)
        return torch.stack([band.converted(plane) for band, plane in planes]).float()
    if space.kind != "labels":
        return space.to_tensor(np.ascontiguousarray(array))
    whole = np.rint(array)
    if not (whole == array).all():
        raise DataError(f"{name}: labels are whole numbers, these are not", fix="say another `kind` of its domain")
    if whole.min() < 0 or whole.max() > 255:
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
