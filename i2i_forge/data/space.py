"""What the numbers of a domain mean: stored quantities to the tensor that a network sees, and back to codes of a file.

    stored quantity -> nodata filled -> convert -> value in `unit` -> clip -> curve -> [-1, 1], rounded once to float32

Everything is computed in float64, channel by channel. Codes of up to 16 bits come back without one that is wrong, of
float32 the error is at most the span of the range times 2^-24. 8-bit RGB keeps the functions it always had.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.bands import Band, band_of
from i2i_forge.data.images import magma, to_uint8
from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Domain, Percentile

Quantity = NDArray[np.float64]  # C,H,W as stored, slope and offset applied; NaN where there is no value
RGB = ("R", "G", "B")


class ImageSpace:
    """What the images of a domain are; `len(space)` is the number of channels that a network sees.

    Args:
        domain: its description; without one 8-bit RGB.
    """

    def __init__(self, domain: Domain | None = None) -> None:
        self.domain = domain or Domain()
        self.bands = tuple(band_of(channel) for channel in self.domain.quantities())
        self.kind = self.bands[0].channel.kind
        self.is_rgb8 = self.kind == "rgb8"
        self.unit = self.bands[0].channel.unit

    def __len__(self) -> int:
        return 3 if self.is_rgb8 else sum(band.width for band in self.bands) * (2 * self.domain.neighbours + 1)

    @property
    def count(self) -> int:
        """Channels of a further image: labels are one channel of whole numbers, whatever their values."""
        return 3 if self.is_rgb8 else len(self.bands) * (2 * self.domain.neighbours + 1)

    def __str__(self) -> str:
        """In words: "-1024..3071 HU", "4 channels (B02, B03, B04, B08), 0..0.6 reflectance"."""
        if self.kind in ("rgb8", "grey8"):
            return "8-bit RGB" if self.is_rgb8 else "8-bit grey"
        names = f" ({', '.join(self.names)})" if any(self.names) else ""
        counted = f"{len(self)} channels{names}, " if len(self) > 1 else ""
        if self.kind == "labels":
            return f"{counted}labels"
        unit = "" if self.unit == "none" else f" {self.unit}"
        ranges = list(dict.fromkeys(f"{band.low:g}..{band.high:g}{unit}" for band in self.bands))
        return counted + ("; ".join(ranges) if self.is_known else f"a range for each case{unit}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bands of files, "" for those without."""
        return RGB if self.is_rgb8 else tuple(band.channel.name for band in self.bands)

    @property
    def units(self) -> tuple[str, ...]:
        """Of its bands, each once; () where no value has one."""
        return tuple(dict.fromkeys(band.channel.unit for band in self.bands if band.channel.unit != "none"))

    @property
    def are_labels(self) -> list[bool]:
        """For each channel of a quantity whether it holds labels, between which there is nothing."""
        return [band.channel.kind == "labels" for band in self.bands] * (2 * self.domain.neighbours + 1)

    @property
    def is_known(self) -> bool:
        """Whether all ranges are numbers."""
        return all(math.isfinite(band.low + band.high) for band in self.bands)

    def percentiles(self) -> list[Percentile | None]:
        """For each band how its range is found, None where it is known."""
        found = [band.channel.range for band in self.bands]
        return [each if isinstance(each, Percentile) else None for each in found]

    def with_ranges(self, ranges: Sequence[Mapping[str, Any]]) -> ImageSpace:
        """This space with other keys in the description of each band: its `range` as numbers, and `range_from`."""
        described = [band.channel.model_copy(update=dict(r)) for band, r in zip(self.bands, ranges, strict=True)]
        is_one = all(r == ranges[0] for r in ranges) and not isinstance(self.domain.channels, list)
        changed = dict(ranges[0]) if is_one else {"channels": described}
        return ImageSpace(Domain.model_validate(_plain(self.domain.model_copy(update=changed))))

    def filled(self, quantity: Quantity) -> tuple[Quantity, NDArray[np.bool_], list[float]]:
        """The quantity, C,H,W, with something in place of no data; where there was data, H,W; and what was filled in.

        A pixel is valid if every band has a value there.
        """
        valid = np.ones(quantity.shape[1:], bool)
        result, fills = quantity, list[float]()
        for number, (band, plane) in enumerate(self._planes(quantity)):
            values = band.converted(torch.from_numpy(plane)).numpy()
            there = np.isfinite(values)
            valid &= there
            fill = band.channel.fill
            value = values[there].mean() if fill == "mean" and there.any() else band.low
            value = float(value if isinstance(fill, str) else fill)
            fills.append(float(band.stored(torch.tensor(value, dtype=torch.float64))))
            if not there.all():
                result = quantity.copy() if result is quantity else result
                result[number][~there] = fills[-1]
        return result, valid, fills

    def parts(self, count: int) -> list[ImageSpace]:
        """The spaces of so many files that are stacked: all channels in one, or one in each.

        Raises:
            DataError: it is another number.
        """
        if count == 1:
            return [self]
        if count != len(self.bands):
            raise DataError(f"{count} files are stacked, and the domain has {len(self.bands)} channels",
                            fix="name one file for each of `channels`")  # fmt: skip
        domain = self.domain
        return [ImageSpace(domain.model_copy(update={"channels": [band.channel]})) for band in self.bands]

    def to_tensor(self, quantity: Quantity, dtype: torch.dtype = torch.float32) -> Tensor:
        """C,H,W in [-1, 1] from a stored quantity, C,H,W, that is filled; float64 keeps what float32 would round.

        Raises:
            DataError: a value is outside of the range, and the domain refuses that; or a label is not among `values`.
        """
        found = [each for band, plane in self._planes(quantity) for each in band.seen(torch.from_numpy(plane))]
        return torch.stack([each.to(dtype) for each in found])

    def to_values(self, x: Tensor) -> Tensor:
        """float64 values in `unit`, from a tensor ...,C,H,W in [-1, 1]; of labels, one-hot or not, one channel."""
        if self.is_rgb8 or self.kind == "grey8":
            return (x.double() + 1) * 127.5
        channels, place = [], 0
        for band, _ in self._planes(range(self.count)):
            channels.append(band.value(x[..., place : place + band.width, :, :]))
            place += band.width
        return torch.stack(channels, -3)

    def to_codes(
        self, x: Tensor, dtype: str, slope: float = 1.0, offset: float = 0.0
    ) -> tuple[NDArray[Any], int]:  # fmt: skip
        """Codes of a file, C,H,W, from a tensor C,H,W in [-1, 1]; and how many did not fit its type.

        A code is (stored quantity - offset) / slope; of whole numbers rounded, half to even.
        """
        if self.is_rgb8:
            return to_uint8(x).numpy().astype(dtype), 0
        values = self.to_values(x.cpu())
        quantity = torch.stack([band.stored(v) for (band, _), v in zip(self._planes(values), values, strict=True)])
        codes = ((quantity - offset) / slope).numpy()
        if np.dtype(dtype).kind == "f":
            return codes.astype(dtype), 0
        whole, ends = np.rint(codes), np.iinfo(dtype)
        return whole.clip(ends.min, ends.max).astype(dtype), int(((whole < ends.min) | (whole > ends.max)).sum())

    def to_rgb(self, x: Tensor) -> Tensor:
        """...,3,H,W in [-1, 1] as `display` shows ...,C,H,W: for sheets, and for networks made for photographs.

        It is differentiable but for `magma`.
        """
        if self.is_rgb8:
            return x
        colour, shown = self.domain.display.colour, self._shown(x)
        if isinstance(colour, tuple):
            black = torch.full_like(shown[..., 0, :, :], -1)
            places = [None if name is None else self.names.index(name) for name in colour]
            return torch.stack([black if p is None else shown[..., p, :, :] for p in places], -3)
        grey = shown[..., :1, :, :]
        return magma(grey) if colour == "magma" else grey.expand(*grey.shape[:-3], 3, *grey.shape[-2:])

    def shown_as(self) -> str:
        """What `to_rgb` shows as black and white, for a line below a label: "-160..240 HU"; "" of 8-bit images."""
        if self.kind != "measure":
            return ""
        low, high = self.domain.display.window or (self.bands[0].low, self.bands[0].high)
        return f"\n{low:g}..{high:g}" + (f" {self.unit}" if self.unit != "none" else "") if low < high else ""

    def span(self) -> tuple[float, ...]:
        """high - low of each band, in `unit`: the data range of PSNR and SSIM."""
        return tuple(band.high - band.low for band in self.bands)

    def digest(self, x: Tensor) -> str:
        """What identifies an image, C,H,W in [-1, 1]: its shape and its values. 16 hexadecimal digits."""
        pixels = (to_uint8(x) if self.is_rgb8 else x.detach().float().cpu()).contiguous().numpy()
        return hashlib.blake2b(pixels.tobytes(), digest_size=8, key=repr(pixels.shape).encode()).hexdigest()

    def data(self) -> dict[str, Any]:
        """Its description as plain data; {} is 8-bit RGB."""
        return _plain(self.domain)

    @cached_property
    def sha256(self) -> str:
        """What identifies the meaning of its numbers; "" of 8-bit RGB. How it is written is no part of it."""
        said = {key: value for key, value in self.data().items() if key not in ("write", "of")}
        return "" if self.is_rgb8 else hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def _planes(self, several: Any) -> Iterator[tuple[Band, Any]]:
        """Each band with what belongs to it; those of neighbouring slices come one slice after the other."""
        times = 2 * self.domain.neighbours + 1
        if len(several) != len(self.bands) * times:
            raise DataError(
                f"there are {len(several)} channels, and the domain has {len(self.bands) * times}",
                fix="see `channels` in its description",
            )
        return zip(self.bands * times, several, strict=True)

    def _shown(self, x: Tensor) -> Tensor:
        """The bands of the middle slice of ...,C,H,W in the window of the display, each from -1 to 1."""
        window, first = self.domain.display.window, self.domain.neighbours * len(self.bands)
        middle = slice(first, first + len(self.bands))
        if window is None and all(band.is_straight for band in self.bands):
            return x[..., middle, :, :]
        values = self.to_values(x)[..., middle, :, :].unbind(-3)
        ends = [window or (band.low, band.high) for band in self.bands]
        shown = [(value - low) * (2 / (high - low)) - 1 for value, (low, high) in zip(values, ends, strict=True)]
        return torch.stack(shown, -3).clamp(-1, 1).to(x.dtype)


def shown(
    columns: Mapping[str, Sequence[Tensor | None]], source: ImageSpace, target: ImageSpace
) -> dict[str, list[Tensor | None]]:
    """The columns of a sheet as domains show their images, C,H,W; labels say what is black and white in measured ones.

    Args:
        source, target: the domains of the column "input" and of all others.
    """
    found: dict[str, list[Tensor | None]] = {}
    for label, images in columns.items():
        space = source if label == "input" or (images[0] is not None and len(images[0]) != len(target)) else target
        found[label + space.shown_as()] = [image if image is None else space.to_rgb(image) for image in images]
    return found


def _plain(domain: Domain) -> dict[str, Any]:
    return domain.model_dump(mode="json", exclude_unset=True)


RGB8 = ImageSpace()
