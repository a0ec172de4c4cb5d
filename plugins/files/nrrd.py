"""NRRD, Teem's and Slicer's format: nrrd, and nhdr with its values in a file beside it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from i2i_forge.data import Codes, Header, Stored, bad, open_clamped, reading
from i2i_forge.errors import DataError

from .blocks import LONGEST_HEADER, Block, axes_to_write, beside, in_file, stored_block
from .quoted import field

TYPES = {  # code of NumPy -> names; the first is written
    "i1": ("signed char", "int8", "int8_t"), "u1": ("unsigned char", "uchar", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("unsigned short", "ushort", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("unsigned int", "uint", "uint32", "uint32_t"),
    "i8": ("long long", "longlong", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("unsigned long long", "ulonglong", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",), "f8": ("double",),
}  # fmt: skip
CODES = {name: code for code, names in TYPES.items() for name in names}
TO_LPS = {"left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "right-anterior-superior": (-1, -1, 1),
          "ras": (-1, -1, 1), "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1)}  # fmt: skip
PACKED = {"raw": False, "gzip": True, "gz": True}
SPACE, TIME = ("domain", "space"), ("time",)
CHANNELS = ("vector", "list", "covariant-vector", "normal", "point", "rgb-color", "rgba-color", "xyz-color",
            "hsv-color", "2-vector", "3-vector", "4-vector", "3-color", "4-color", "3-gradient")  # fmt: skip
MOST_AXES = 5  # in space, a vector, time
VECTOR = re.compile(r"none|\([^)]*\)")


class Nrrd:
    """nrrd and nhdr of two or three axes in space, with an axis of channels or of times; raw or gzip.

    `space` LPS, RAS and LAS say what is left; in other spaces, or none, axes stay as they lie, of unknown orientation.
    Written are files of one part whose channels are the fastest axis, as ITK has them; compressed where `like` is.
    """

    endings = (".nrrd", ".nhdr")
    writes = (".nrrd",)
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins as NRRD does."""
        return head.startswith(b"NRRD000")

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat."""
        with reading(path):
            fields, ends = header_fields(path)
            kinds = axis_kinds(path, fields)
            block = block_of(path, fields, kinds, ends)
            inside = [axis for axis, kind in enumerate(kinds) if kind in SPACE]
            steps = vectors(fields.get("space directions", ""))
            spacing = [float(each) for each in fields.get("spacings", "").split()] or [
                float(np.linalg.norm(step)) for step in steps
            ]
            in_space = [spacing[axis] for axis in inside[::-1]] if spacing else []
            signs = TO_LPS.get(fields.get("space", "").lower())
            if signs is None or len(inside) != 3 or len(steps) != len(kinds):
                return stored_block(path, block, None, in_space, fields)
            origin = vectors(fields.get("space origin", "(0,0,0)"))[0]
            affine = np.column_stack([*(steps[axis] for axis in inside[::-1]), origin])
            return stored_block(path, block, affine * np.reshape(signs, (3, 1)), in_space, fields)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """See i2i_forge.data.FileFormat."""
        values, same = in_file(path, codes, header, like, "NRRD")
        if values.dtype.str[1:] not in TYPES:
            raise DataError(f"{path}: NRRD has no type {header.dtype}", fix="write float32, or an integer")
        is_packed = same is not None and same.block.packed
        channels, in_space = len(header.channels) > 1, min(3, 2 + len(header.axes))
        kinds = ["vector"] * channels + ["domain"] * in_space + ["time"] * (len(header.axes) > 1)
        lines = {"type": TYPES[values.dtype.str[1:]][0], "dimension": str(values.ndim)}
        if same is not None:
            lines |= geometry_of(same.fields, kinds)
        elif in_space == 3:
            axes = axes_to_write(header)
            said = [text(step) for step in axes[:, :3].T]
            lines |= {"space": "left-posterior-superior", "space origin": text(axes[:, 3])}
            lines |= {"space directions": each_axis(kinds, said, "none")}
        elif header.spacing is not None:
            lines |= {"spacings": each_axis(kinds, [repr(step) for step in header.spacing[:0:-1]], "nan")}
        lines |= {"sizes": " ".join(map(str, values.shape[::-1])), "kinds": " ".join(kinds), "endian": "little",
                  "encoding": "gzip" if is_packed else "raw"}  # fmt: skip
        with path.open("xb") as file:
            file.write("\n".join(["NRRD0005", *map(": ".join, lines.items()), "", ""]).encode())
            file.write(gzip.compress(values.tobytes(), 6, mtime=0) if is_packed else values.tobytes())


def header_fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields, and where the values begin, behind an empty line; the end of an nhdr."""
    fields: dict[str, str] = {}
    with open_clamped(path) as file:
        while file.tell() < LONGEST_HEADER and (line := file.readline(LONGEST_HEADER)):
            if not line.strip():
                break
            name, colon, value = line.decode("latin-1").partition(":")
            if colon and not name.startswith("#") and not value.startswith("="):
                fields[name.strip().lower()] = field(value)
        ends = file.tell()
    for name in ("type", "dimension", "sizes", "encoding"):
        if name not in fields:
            raise bad(path, f"its header has no '{name}'", "copy or download it again, or convert it")
    return fields, ends


def axis_kinds(path: Path, fields: Mapping[str, str]) -> list[str]:
    """The kind of each axis, the fastest first. Raises BadImage where they do not say what each is."""
    count = int(fields["dimension"])
    kinds = fields.get("kinds", "").lower().split() or ["domain"] * min(count, MOST_AXES)
    said = [kind for kind in kinds if kind in SPACE]
    rest = [kind for kind in kinds if kind not in SPACE]
    known = sum(kind in CHANNELS for kind in rest) <= 1 and sum(kind in TIME for kind in rest) <= 1
    if len(kinds) != count or len(said) not in (2, 3) or not known or {*rest} - {*CHANNELS, *TIME}:
        raise bad(path, f"has {count} axes of the kinds '{' '.join(kinds)}'", "say two or three domains, vector, time")
    if "time" in rest and (len(said) != 3 or [kind for kind in kinds if kind not in CHANNELS][-1] != "time"):
        raise bad(path, "its times are not the slowest axis of volumes", "write it again")
    return kinds


def block_of(path: Path, fields: Mapping[str, str], kinds: list[str], ends: int) -> Block:
    """Where the values lie."""
    kind, packed = fields["type"].lower(), fields["encoding"].lower()
    if kind not in CODES or packed not in PACKED:
        raise bad(path, f"holds values of type {kind}, encoding {packed}", "write numbers, raw or gzip")
    sizes = [int(size) for size in fields["sizes"].split()]
    dtype = np.dtype(CODES[kind])
    if len(sizes) != len(kinds) or (dtype.itemsize > 1 and fields.get("endian") not in ("little", "big")):
        raise bad(path, f"its header says sizes {sizes}, endian {fields.get('endian')}", "correct its header")
    skip = int(fields.get("byte skip", fields.get("byteskip", 0)))
    if int(fields.get("line skip", fields.get("lineskip", 0))) or (skip and PACKED[packed]):
        raise bad(path, "skips lines, or compressed bytes", "write it again")
    name = fields.get("data file", fields.get("datafile"))
    channels = [axis for axis, each in enumerate(kinds[::-1]) if each in CHANNELS]
    return Block(
        file=path if name is None else beside(path, name), packed=PACKED[packed],
        begins=skip if skip < 0 or name is not None else skip + ends, shape=tuple(sizes[::-1]),
        dtype=dtype.newbyteorder(">" if fields.get("endian") == "big" else "<"),
        channels=channels[0] if channels else None,
    )  # fmt: skip


def vectors(said: str) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Vectors of a header; "none" has no numbers."""
    return [np.array([float(part) for part in each.strip("()").split(",")] if each != "none" else [])
            for each in VECTOR.findall(said)]  # fmt: skip


def text(vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """A vector as a header has it."""
    return f"({','.join(repr(float(part)) for part in vector)})"


def each_axis(kinds: list[str], in_space: list[str], other: str) -> str:
    """What is said of each axis, where only those in space have a value."""
    left = iter(in_space)
    return " ".join(next(left) if kind in SPACE else other for kind in kinds)


def geometry_of(fields: Mapping[str, str], kinds: list[str]) -> dict[str, str]:
    """The lines of another file that say where it lies, letter for letter."""
    found = {
        name: fields[name]
        for name in ("space", "space dimension", "space origin", "measurement frame")
        if name in fields
    }
    if "space directions" in fields:
        steps = [each for each in VECTOR.findall(fields["space directions"]) if each != "none"]
        found["space directions"] = each_axis(kinds, steps, "none")
    if "spacings" in fields:
        steps = [each for each in fields["spacings"].split() if each.lower() != "nan"]
        found["spacings"] = each_axis(kinds, steps, "nan")
    return found
