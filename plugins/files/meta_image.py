"""MetaImage, ITK's own format: mha, and mhd with its values in a file beside it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from i2i_forge.data import Codes, Header, Stored, bad, open_clamped, reading
from i2i_forge.errors import DataError

from .blocks import LONGEST_HEADER, Block, axes_to_write, beside, in_file, stored_block
from .quoted import field

TYPES = {"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
         "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}  # fmt: skip
GEOMETRY = ("TransformMatrix", "Offset", "CenterOfRotation", "AnatomicalOrientation", "ElementSpacing", "ElementSize")
NAMES = {"Position": "Offset", "Origin": "Offset", "Orientation": "TransformMatrix", "Rotation": "TransformMatrix",
         "ElementByteOrderMSB": "BinaryDataByteOrderMSB"}  # fmt: skip


class MetaImage:
    """mha and mhd of two to four axes, raw or compressed, with channels; in patient coordinates (LPS), as ITK has them.

    Written are files of one part; compressed where `like` is, with the size that ITK asks for.
    """

    endings = (".mha", ".mhd")
    writes = (".mha",)
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins with a key of MetaImage."""
        first, equals, _ = head.partition(b"=")
        return bool(equals) and first.strip() in (b"ObjectType", b"NDims", b"Comment")

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat."""
        with reading(path):
            fields, ends = header_fields(path)
            block = block_of(path, fields, ends)
            count = int(fields["NDims"])
            spacing = numbers(path, fields, "ElementSpacing", count, fields.get("ElementSize", "1 " * count))
            if count == 2:
                return stored_block(path, block, None, spacing[::-1], fields)
            matrix = np.reshape(numbers(path, fields, "TransformMatrix", count**2, identity(count)), (count, count))
            origin = numbers(path, fields, "Offset", count, "0 " * count)
            if count == 4 and (matrix[3, :3].any() or matrix[:3, 3].any()):
                raise bad(path, "its fourth axis is not by itself", "write its volumes one by one")
            steps = matrix[:3, :3].T * spacing[:3]  # the rows of the file are the directions of i, j, k
            affine = np.column_stack([steps[:, ::-1], origin[:3]])
            return stored_block(path, block, affine, [], fields)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """See i2i_forge.data.FileFormat."""
        values, same = in_file(path, codes, header, like, "MetaImage")
        kind = next((name for name, code in TYPES.items() if code == values.dtype.str[1:]), None)
        if kind is None:
            raise DataError(f"{path}: MetaImage has no type {header.dtype}", fix="write float32, or an integer")
        is_packed = same is not None and same.block.packed
        count = 2 + len(header.axes)
        lines = {"ObjectType": "Image", "NDims": str(count), "BinaryData": "True", "BinaryDataByteOrderMSB": "False"}
        data = zlib.compress(values.tobytes()) if is_packed else values.tobytes()
        lines |= {"CompressedData": "True", "CompressedDataSize": str(len(data))} if is_packed else {}
        if same is not None:
            lines |= {name: same.fields[name] for name in GEOMETRY if name in same.fields}
        else:
            lines |= geometry_lines(axes_to_write(header), count)
        space = values.shape[:-1] if len(header.channels) > 1 else values.shape
        lines |= {"DimSize": " ".join(map(str, space[::-1]))}
        lines |= {"ElementNumberOfChannels": str(len(header.channels))} if len(header.channels) > 1 else {}
        lines |= {"ElementType": kind, "ElementDataFile": "LOCAL"}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        with path.open("xb") as file:
            file.write(text.encode())
            file.write(data)


def header_fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields, and where the header ends. `ElementDataFile` is the last."""
    fields: dict[str, str] = {}
    with open_clamped(path) as file:
        while file.tell() < LONGEST_HEADER and (line := file.readline(LONGEST_HEADER)):
            name, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                break
            name = NAMES.get(name.strip(), name.strip())
            fields[name] = field(value)
            if name == "ElementDataFile":
                return fields, file.tell()
    raise bad(path, "its header has no line 'ElementDataFile = ...'", "copy or download it again, or convert it")


def block_of(path: Path, fields: Mapping[str, str], ends: int) -> Block:
    """Where the values lie."""
    for name in ("NDims", "DimSize", "ElementType"):
        if name not in fields:
            raise bad(path, f"its header has no '{name}'", "copy or download it again, or convert it")
    count, kind = int(fields["NDims"]), fields["ElementType"]
    if count not in (2, 3, 4) or kind not in TYPES or fields.get("BinaryData", "True").lower() != "true":
        raise bad(path, f"holds {count} axes of {kind}, BinaryData {fields.get('BinaryData')}", "convert it")
    shape = tuple(int(size) for size in numbers(path, fields, "DimSize", count)[::-1])
    channels, axis = int(fields.get("ElementNumberOfChannels", 1)), None
    if channels > 1:
        shape, axis = (*shape, channels), count
    is_big = fields.get("BinaryDataByteOrderMSB", "False").lower() == "true"
    name, begins = fields["ElementDataFile"], int(fields.get("HeaderSize", 0))
    is_local = name.upper() == "LOCAL"
    return Block(
        file=path if is_local else beside(path, name), begins=ends if is_local else begins,
        packed=fields.get("CompressedData", "False").lower() == "true", channels=axis,
        dtype=np.dtype(TYPES[kind]).newbyteorder(">" if is_big else "<"), shape=shape,
    )  # fmt: skip


def numbers(path: Path, fields: Mapping[str, str], name: str, count: int, default: str = "") -> list[float]:
    """The numbers of a field. Raises BadImage where they are not `count`."""
    found = [float(each) for each in fields.get(name, default).split()]
    if len(found) != count:
        raise bad(path, f"its '{name}' has {len(found)} numbers, not {count}", "correct its header")
    return found


def identity(count: int) -> str:
    """The matrix of axes that are not turned."""
    return " ".join(map(str, np.eye(count).ravel().tolist()))


def geometry_lines(axes: np.ndarray[tuple[int, ...], np.dtype[np.float64]], count: int) -> dict[str, str]:
    """Direction, origin and spacing of two to four axes."""
    lengths = np.linalg.norm(axes[:, :3], axis=0)
    matrix, origin, steps = np.eye(4), np.zeros(4), np.ones(4)
    matrix[:3, :3], origin[:3], steps[:3] = (axes[:, :3] / lengths).T, axes[:, 3], lengths
    found = {"TransformMatrix": matrix[:count, :count], "Offset": origin[:count], "ElementSpacing": steps[:count]}
    return {name: " ".join(repr(float(value)) for value in np.ravel(each)) for name, each in found.items()}
