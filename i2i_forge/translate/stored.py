"""A translation as a file: of the source's kind, on its grid, with the codes that the entered domain asks for."""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.file_formats import Files
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stored import Header, Stored
from i2i_forge.data.volumes import Plane, Volume, as_planes, plane_number
from i2i_forge.errors import UsageError, disk_error
from i2i_forge.system.files import made_whole


class Target:
    """What translations of one source file are written as.

    Args:
        space: of the domain that is entered.
        source: the file that is translated, the first of a stack.
        left: its domain.
        plane: across which axis volumes are cut.
        files: the formats.

    Raises:
        UsageError: the format cannot be written.
    """

    def __init__(self, space: ImageSpace, source: Stored, left: ImageSpace, plane: Plane, files: Files) -> None:
        self.space, self.source, self.plane = space, source, plane_number(plane)
        write, mine = space.domain.write, files.format_of(source.path)
        said = write.format
        name = mine if said == "source" else said if said in files.formats else files.named(f".{said}")
        self.form: Any = files.format(name)
        if not hasattr(self.form, "write"):
            raise UsageError(
                f"files of {name} are read and not written", fix="say in `write` of the domain: {as: tiff}"
            )
        self.like = source if name == mine else None
        self.ending = self._ending(files.ending(source.path)) if not source.path.is_dir() or not self.like else ""
        if space.kind in ("rgb8", "grey8", "labels"):
            self.dtype = "uint8"
        else:
            self.dtype = "float32" if write.dtype == "training" else write.dtype
        self.is_float = np.dtype(self.dtype).kind == "f"
        self.slope, self.offset = (1.0, 0.0) if self.is_float else (write.slope, write.offset)
        self.header = self._header(left)
        nothing = np.full((space.count, 1, 1), np.nan)
        fills = np.array(space.filled(nothing)[2] if not space.is_rgb8 else [0.0] * 3)[self._kept]
        self.fill = self._rounded((fills - self.offset) / self.slope)[:, None]

    @property
    def names(self) -> list[str]:
        """What is added to a file's name: "" for one file, "_DAPI" and the like for those of each channel."""
        names = self.header.channels
        apart = getattr(self.form, "is_one_channel", False) and len(names) > 1
        return [f"_{name or number}" for number, name in enumerate(names)] if apart else [""]

    def begin(self) -> Translation:
        """An empty translation."""
        return Translation(self)

    @property
    def _kept(self) -> slice:
        """The channels of the slice itself, where its neighbours are channels too."""
        count, beside = len(self.space.bands), self.space.domain.neighbours
        return slice(0, 3) if self.space.is_rgb8 else slice(beside * count, (beside + 1) * count)

    def _rounded(self, codes: NDArray[Any]) -> NDArray[Any]:
        if not self.is_float:
            codes = np.rint(codes).clip(np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        return codes.astype(self.dtype)

    def _nodata(self) -> tuple[float, ...]:
        """The code of no value: what the domain says, else the source's file; of floats NaN does without a word."""
        said = [(n - self.offset) / self.slope for n in self.space.domain.nodata if not isinstance(n, str)]
        stored = self.source.header.nodata
        if self.is_float:
            return tuple(said[:1]) or ((math.nan,) if stored else ())
        return tuple(n for n in (*said, *stored) if _fits(n, self.dtype))[:1]

    def _ending(self, ending: str) -> str:
        writes: tuple[str, ...] = getattr(self.form, "writes", self.form.endings)
        return ending if ending in writes else writes[0]

    def _header(self, left: ImageSpace) -> Header:
        header, space = self.source.header, self.space
        rules = {} if left.is_rgb8 else Volume(self.source, left, self.plane).rules
        return replace(
            header, axes=tuple(axis for axis in header.axes if rules.get(axis[0]) == "slices"), channels=space.names,
            dtype=self.dtype, slope=(self.slope,), offset=(self.offset,), nodata=self._nodata(), bits=0,
            unit="" if space.unit == "none" else space.unit, pixels="colour" if space.is_rgb8 else "numbers",
            polarity="", is_raw=False, notes=(),
        )  # fmt: skip


class Translation:
    """One translation of a file, slice by slice.

    Attributes:
        saturated: how many values did not fit the type of the codes.
        nodata: how many pixels have no value.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.saturated, self.nodata = target, 0, 0
        self.array = np.zeros(target.header.shape, target.dtype)
        self._planes = as_planes(self.array, len(target.header.axes), target.plane if target.header.axes else 0)

    def put(self, place: int, image: Tensor, valid: NDArray[np.bool_], outside: NDArray[np.bool_] | None) -> None:
        """Put a slice where it belongs.

        Args:
            image: C,H,W in [-1, 1].
            valid: H,W; without value elsewhere.
            outside: H,W, what is blanked.
        """
        target = self.target
        codes, saturated = target.space.to_codes(image, target.dtype, target.slope, target.offset)
        codes = codes[target._kept]
        if outside is not None:
            codes[:, outside] = target.fill
        if not valid.all():
            stored = target.header.nodata
            codes[:, ~valid] = stored[0] if stored else np.nan if target.is_float else target.fill
            self.nodata += int((~valid).sum())
        self.saturated += saturated
        self._planes[place] = codes

    def write(self, files: list[Path]) -> dict[str, str]:
        """Write it, to one file or to one for each channel; name -> SHA-256 of its codes."""
        target, found = self.target, {}
        for number, file in enumerate(files):
            part = slice(number, number + 1) if len(files) > 1 else slice(None)
            header = replace(target.header, channels=target.header.channels[part])
            codes = self.array[..., part, :, :]
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                with made_whole(file) as partial:
                    target.form.write(partial, codes, header, target.like)
                    if file.is_dir():  # a series of an earlier translation, which no other folder can replace
                        shutil.rmtree(file)
            except OSError as error:
                raise disk_error(file, error) from error
            found[file.name] = hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest()
        return found


def _fits(number: float, dtype: str) -> bool:
    return bool(np.iinfo(dtype).min <= number <= np.iinfo(dtype).max and number == np.rint(number))
