"""A file of codes as the planes that a domain asks for: which axis is what, which bands, and the quantity of each.

One reading of a file, or a refusal that lists the readings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np

from i2i_forge.data.file_checks import bad
from i2i_forge.data.space import ImageSpace, Quantity
from i2i_forge.data.stored import Codes, Header, Stored
from i2i_forge.data.volume_cache import Kept, kept
from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Channel

Plane = Literal["axial", "coronal", "sagittal"] | int
PLANES = ("axial", "coronal", "sagittal")
SLICES = "z"  # the axis that is slices unless a domain says otherwise


class Volume:
    """The planes of one file; a picture is a volume of one.

    Args:
        stored: the file.
        space: of its domain; None takes every band.
        plane: across which axis a volume is cut, by its anatomical name or its number in the order slices, rows,
            columns; rows of coronal and sagittal planes begin at the head.
        cache: see `volume_cache.kept`.

    Attributes:
        count: of its planes.
        rows, columns: of each.

    Raises:
        BadImage: an axis or a band has no clear meaning, or the planes have no names.
    """

    def __init__(
        self, stored: Stored, space: ImageSpace, plane: Plane = "axial", cache: Kept = "disk"
    ) -> None:  # fmt: skip
        self.stored, self.space, self.cache = stored, space, cache
        self.header = stored.header
        self._refuse_others()
        self.is_greyed = space.kind == "grey8" and self.header.pixels == "colour"
        self.rules = {name: self._rule(name, length) for name, length in self.header.axes}
        self.bands = self._bands()
        self.plane = plane_number(plane)
        is_cut = any(rule == "slices" for rule in self.rules.values())
        if self.plane and is_cut and isinstance(plane, str) and not self.header.orientation:
            raise bad(stored.path, f"does not say how it lies, so it has no {plane} planes",
                      f"say which by number: plane: {self.plane}")  # fmt: skip

        shape: tuple[int, ...] = self.view(np.broadcast_to(np.zeros((), np.uint8), self.header.shape)).shape
        self.count, _, self.rows, self.columns = shape

    def __len__(self) -> int:
        return self.count

    @cached_property
    def planes(self) -> Codes:
        """All codes as slices,channels,rows,columns: mapped, or decoded."""
        return self.view(kept(self.stored, self.cache))

    def view(self, array: Codes) -> Codes:
        """The planes of an array of the header's shape, as slices,channels,rows,columns: a view where nothing is
        reduced, so that what is written into it is written into the array."""
        names = [name for name, _ in self.header.axes]
        slices, channels = ([n for n in names if self.rules[n] == what] for what in ("slices", "channels"))
        picked = array
        for axis, name in reversed(list(enumerate(names))):
            match self.rules[name]:
                case int() as place:
                    picked = picked[(slice(None),) * axis + (place,)]
                case "max":
                    picked = picked.max(axis) if array.strides[axis] else picked[(slice(None),) * axis + (0,)]
        left = [name for name in names if name in slices or name in channels]
        order = [*(left.index(name) for name in (*slices, *channels)), *range(len(left), len(left) + 3)]
        return as_planes(picked.transpose(order), len(slices), self.plane if slices else 0)

    def quantity(self, index: int) -> Quantity:
        """One plane, C,H,W: slope and offset applied, NaN where the file or the domain says that there is no value.

        With neighbours, the bands of each slice in turn; beyond the first and last slice these are repeated.
        """
        beside = self.space.domain.neighbours
        planes = self.planes
        several = [planes[min(max(index + n, 0), len(self) - 1)] for n in range(-beside, beside + 1)]
        if self.is_greyed:
            several = [grey(plane)[np.newaxis] for plane in several]
        quantity = np.empty((len(several) * len(self.bands), self.rows, self.columns))
        codes = (plane[band] for plane in several for band in self.bands)
        for number, (into, plane) in enumerate(zip(quantity, codes, strict=True)):
            self._fill(into, plane, number % len(self.bands))
        return quantity

    def _fill(self, quantity: Quantity, codes: Codes, number: int) -> None:
        """The quantity of the codes of the domain's band of this number, H,W."""
        header, band = self.header, self.bands[number]
        said = () if self.space.is_rgb8 else self.space.bands[number].channel.nodata
        quantity[:] = codes
        missing = [quantity == code for code in header.nodata if "file" in said]
        if self.is_inverted:
            np.subtract(sum(self._ends()), quantity, out=quantity)
        slope, offset = (of[band % len(of)] for of in (header.slope, header.offset))
        if (slope, offset) != (1.0, 0.0):
            quantity *= slope
            quantity += offset
        missing += [quantity == value for value in said if not isinstance(value, str)]
        if codes.dtype.kind == "f":
            missing.append(~np.isfinite(quantity))
        for where in missing:
            quantity[where] = np.nan

    @property
    def is_inverted(self) -> bool:
        """Whether codes are stored the other way round than the domain has them."""
        return self.space.domain.polarity == "white_is_high" and self.header.polarity == "white_is_low"

    def _ends(self) -> tuple[float, float]:
        """The least and the largest code of the bits that are used."""
        info = np.iinfo(self.header.dtype)
        bits, is_signed = self.header.bits or info.bits, info.min < 0
        return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if is_signed else (0.0, 2.0**bits - 1)

    def _refuse_others(self) -> None:
        """Raise BadImage where codes are not what the domain takes them for."""
        path, kind = self.stored.path, self.header.pixels
        if self.space.kind == "grey8" and self.header.dtype != "uint8":
            raise bad(path, f"has codes of type {self.header.dtype}, and kind: grey8 means 8 bits", "say `range`")
        if self.is_inverted and np.dtype(self.header.dtype).kind not in "iu":
            raise bad(path, "stores white as low in numbers that have no ends", "say polarity: stored")
        if kind == "palette" and self.space.kind not in ("labels", "rgb8"):
            raise bad(path, "has a palette, which is no measurement", "say kind: labels for its indices, or kind: rgb8")
        if kind == "colour" and self.space.kind == "measure" and self.space.domain.channels == 1:
            names = ", ".join(self.header.channels)
            raise bad(
                path, f"is a colour picture ({names})", "say `channels` of the domain, or leave it out: 8-bit RGB"
            )

    def _rule(self, name: str, length: int) -> Any:
        said = self.space.domain.axes.get(name)
        if said is None and (length == 1 or name == SLICES):
            said = 0 if name != SLICES else "slices"
        if said is None:
            readings = f"axes: {{{name}: slices}}, {{{name}: channels}}, {{{name}: 0}}, {{{name}: middle}} or max"
            raise bad(self.stored.path, f"has an axis '{name}' of {length} that nothing explains", f"say {readings}")
        place = length // 2 if said == "middle" else said
        if isinstance(place, int) and not 0 <= place < length:
            raise bad(
                self.stored.path, f"its axis '{name}' has {length} places, and {place} is asked for", "say another"
            )
        return place

    def _bands(self) -> list[int]:
        """The places of the domain's channels among those of the file, with axes that become channels."""
        deep = [n for name, n in self.header.axes if self.rules[name] == "channels"]
        names = self.header.channels * int(np.prod(deep, dtype=int))
        wanted = [band.channel for band in self.space.bands]
        if self.space.is_rgb8:
            return list(range(min(3, len(names))))
        if self.is_greyed:
            return [0]
        if any(channel.band or (channel.name and channel.name in names) for channel in wanted):
            return [self._place(channel, names) for channel in wanted]
        if len(names) != len(wanted):
            called = ", ".join(channel.name for channel in wanted if channel.name)
            raise self._other_bands(f"{len(wanted)} channels" + (f" ({called})" if called else ""), names)
        return list(range(len(names)))

    def _place(self, channel: Channel, names: tuple[str, ...]) -> int:
        """Where a band lies that is named, or numbered."""
        if channel.band and channel.band <= len(names):
            return channel.band - 1
        if channel.band or names.count(channel.name) != 1:
            raise self._other_bands(f"band {channel.band or channel.name or 'without name or number'}", names)
        return names.index(channel.name)

    def _other_bands(self, wanted: str, names: tuple[str, ...]) -> DataError:
        known = f" ({', '.join(filter(None, names))})" if any(names) else ""
        return bad(self.stored.path, f"has {len(names)} channels{known}, and its domain {wanted}",
                   "say `channels` of the domain: a number, their names, or {name: ..., band: 1}")  # fmt: skip


def grey(codes: Codes) -> Codes:
    """The grey of red, green and blue, 8 bits C,H,W, as Pillow's `convert("L")` rounds it (ITU-R 601-2): H,W."""
    red, green, blue = codes[:3].astype(np.int64)
    return np.asarray((19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16)


def plane_number(plane: Plane) -> int:
    """The axis, of slices, rows and columns, that planes of this name or number lie across."""
    return PLANES.index(plane) if plane in PLANES else int(plane)


def as_planes(array: Codes, slices: int, plane: int) -> Codes:
    """An array whose first axes, so many, are slices, and whose others but for rows and columns are channels, as
    slices,channels,rows,columns across one of the axes slices, rows, columns: a view."""
    rows, columns = array.shape[-2:]
    count = math.prod(array.shape[:slices])
    planes = array if (slices, array.ndim) == (1, 4) else array.reshape(count, -1, rows, columns)
    match plane:
        case 1:
            return planes.transpose(2, 1, 0, 3)[:, :, ::-1]
        case 2:
            return planes.transpose(3, 1, 0, 2)[:, :, ::-1]
    return planes


def differences(volumes: Iterator[tuple[str, Header]]) -> str:
    """Which of some files that belong together lie on another grid than the first, and how; "" if none does."""
    (first, header), *others = volumes
    for name, other in others:
        deep = {dict(each.axes).get(SLICES) for each in (header, other)} - {None}
        if (header.rows, header.columns) != (other.rows, other.columns) or len(deep) > 1:
            return f"{first} is {_size(header)}, {name} {_size(other)}"
        is_alike = dict(header.axes).get(SLICES) == dict(other.axes).get(SLICES)  # else channels, or a slice of it
        if is_alike and header.grid and other.grid and header.grid != other.grid:
            return (
                f"{first} and {name} have the size {_size(header)} and lie elsewhere: {_where(header)}; {_where(other)}"
            )
    return ""


def _size(header: Header) -> str:
    return "x".join(map(str, (*(length for _, length in header.axes), header.rows, header.columns)))


def _where(header: Header) -> str:
    if header.affine is None:
        return f"spacing {header.spacing}"
    corner = [f"{row[3]:g}" for row in header.affine]
    return f"spacing {header.spacing}, first voxel at {', '.join(corner)}"
