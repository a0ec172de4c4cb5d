"""Translations as files: of the source's kind, on its grid, with the codes that the entered domain asks for.

translation.json names them: of which run they are, what they were made of and how many values suffered. A later
translation may replace the files that it names, and no other.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from i2i_forge.data.cases import Case
from i2i_forge.data.file_formats import Files
from i2i_forge.data.space import ImageSpace
from i2i_forge.data.stored import Header, Stored
from i2i_forge.data.volumes import Plane, Volume, as_planes, plane_number
from i2i_forge.errors import UsageError, disk_error
from i2i_forge.system.files import made_whole, read_record, sha256_of, write_whole
from i2i_forge.system.outputs import marked, refuse_to_replace
from i2i_forge.translate.files import MARK

RECORD = "translation.json"


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
        self.space, self.plane = space, plane_number(plane)
        write, mine = space.domain.write, files.format_of(source.path)
        said = write.format
        name = mine if said == "source" else said if said in files.formats else files.named(f".{said}")
        self.form: Any = files.format(name)
        if not hasattr(self.form, "write"):
            raise UsageError(
                f"files of {name} are read and not written", fix="say in `write` of the domain: {as: tiff}"
            )
        self.like = source if name == mine else None
        ending, writes = files.ending(source.path), getattr(self.form, "writes", self.form.endings)
        self.ending = "" if self.like and source.path.is_dir() else ending if ending in writes else writes[0]
        said_type = "float32" if write.dtype == "training" else write.dtype
        self.dtype = "uint8" if space.kind in ("rgb8", "grey8", "labels") else said_type
        self.is_float = np.dtype(self.dtype).kind == "f"
        self.slope, self.offset = (1.0, 0.0) if self.is_float else (write.slope, write.offset)
        count, beside = len(space.bands), space.domain.neighbours
        self.kept = slice(0, 3) if space.is_rgb8 else slice(beside * count, (beside + 1) * count)  # of neighbours none
        self.header = self._header(source, left)
        self.fill = self._fill()

    @property
    def names(self) -> list[str]:
        """What is added to a file's name: "" for one file, "_DAPI" and the like for those of each channel."""
        names = self.header.channels
        holds_all = self.space.is_rgb8 and getattr(self.form, "holds_colour", False)
        apart = getattr(self.form, "is_one_channel", False) and len(names) > 1 and not holds_all
        return [f"_{name or number}" for number, name in enumerate(names)] if apart else [""]

    def _fill(self) -> NDArray[Any]:
        """The code of each channel, C,1, that is written outside of a mask."""
        fills = [0.0] * 3 if self.space.is_rgb8 else self.space.filled(np.full((self.space.count, 1, 1), np.nan))[2]
        codes = (np.array(fills[self.kept]) - self.offset) / self.slope
        if not self.is_float:
            codes = np.rint(codes).clip(np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        return codes.astype(self.dtype)[:, None]

    def _nodata(self, stored: tuple[float, ...]) -> tuple[float, ...]:
        """The code of no value: what the domain says, else the source's file; of floats NaN does without a word."""
        said = [(n - self.offset) / self.slope for n in self.space.domain.nodata if not isinstance(n, str)]
        if self.is_float:
            return tuple(said[:1]) or ((math.nan,) if stored else ())
        ends = np.iinfo(self.dtype)
        return tuple(n for n in (*said, *stored) if ends.min <= n <= ends.max and n == np.rint(n))[:1]

    def _header(self, source: Stored, left: ImageSpace) -> Header:
        header, space = source.header, self.space
        rules = {} if left.is_rgb8 else Volume(source, left, self.plane).rules
        return replace(
            header, axes=tuple(axis for axis in header.axes if rules.get(axis[0]) == "slices"), channels=space.names,
            dtype=self.dtype, slope=(self.slope,), offset=(self.offset,), nodata=self._nodata(header.nodata), bits=0,
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

    def put(self, place: int, image: Tensor, valid: NDArray[np.bool_], outside: NDArray[np.bool_]) -> None:
        """Put a slice where it belongs.

        Args:
            image: C,H,W in [-1, 1].
            valid: H,W; without value elsewhere.
            outside: H,W, what is blanked.
        """
        target = self.target
        codes, saturated = target.space.to_codes(image, target.dtype, target.slope, target.offset)
        codes = codes[target.kept]
        codes[:, outside] = target.fill
        stored = target.header.nodata
        codes[:, ~valid] = stored[0] if stored else np.nan if target.is_float else target.fill
        self.nodata += int((~valid).sum())
        self.saturated += saturated
        self._planes[place] = codes

    def write(self, files: Sequence[Path]) -> dict[str, str]:
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


class Written:
    """What is written into a folder, and translation.json, which names it.

    Args:
        out: the folder.
        about: what all translations have in common, as plain data.

    Attributes:
        planned: of each case one or more files for each code.
        cases: what there is to say of those that were written.
    """

    def __init__(self, out: Path, about: Mapping[str, Any]) -> None:
        self.out, self.about = out, about
        self.planned: dict[str, list[list[Path]]] = {}
        self.cases: dict[str, Any] = {}
        self._earlier = read_record(out / RECORD)

    @property
    def files(self) -> list[Path]:
        """Those that were written."""
        return [file for name in self.cases for each in self.planned[name] for file in each]

    def refuse_others(self, cases: Sequence[Case], formats: Files) -> None:
        """Raise UsageError where an input, or what no translation wrote, would be replaced."""
        planned = [file for several in self.planned.values() for each in several for file in each]
        own = {*self._earlier.get("outputs", {}), *([RECORD] if "outputs" in self._earlier else [])}
        read = [file for case in cases for stack in case.files.values() for file in stack]
        refuse_to_replace([*planned, self.out / RECORD], lambda file: file.name in own, read)
        refuse_to_replace([self.out / "sheet.png"], marked(MARK), read)
        for folder in filter(Path.is_dir, planned):
            is_series = all(file.is_file() and formats.ending(file) for file in folder.iterdir())
            if folder.name not in own or not is_series:
                raise UsageError(
                    f"{folder}: there is a folder already, which this command did not write", fix="name another place"
                )

    def write(self, case: Case, made: Sequence[Translation], facts: Mapping[str, Any]) -> None:
        """Write the translations of a case."""
        outputs: dict[str, str] = {}
        for each, files in zip(made, self.planned[case.name], strict=True):
            outputs |= each.write(files)
        self.cases[case.name] = {
            "inputs": {str(file): _digest(file) for stack in case.files.values() for file in stack}, **facts,
            "saturated": sum(m.saturated for m in made), "nodata": made[0].nodata, "outputs": outputs,
        }  # fmt: skip

    def remember(self) -> None:
        """Write translation.json, if anything was written; what the same run wrote before stays in it."""
        if not self.cases:
            return
        is_same = all(self._earlier.get(key) == value for key, value in json.loads(json.dumps(self.about)).items())
        cases = {**(self._earlier.get("cases", {}) if is_same else {}), **self.cases}
        outputs = {name: digest for case in cases.values() for name, digest in case["outputs"].items()}
        try:
            text = json.dumps({**self.about, "outputs": outputs, "cases": cases}, indent=2)
            write_whole(self.out / RECORD, text + "\n")
        except OSError as error:
            raise disk_error(self.out / RECORD, error) from error


def _digest(path: Path) -> str:
    """SHA-256 of those of a file, or of the files of a series, by their names."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(bytes.fromhex(sha256_of(file)) for file in files)).hexdigest()
