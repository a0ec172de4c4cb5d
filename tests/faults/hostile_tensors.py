"""safetensors files that lie."""

import json


def tensor(start, end, shape=(1,), dtype="F32"):
    """An entry of a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def packed(header, data=bytes(8), length=None):
    """A file: the header's length, the header, the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE, TWO = (json.dumps(entry) for entry in (tensor(0, 4), tensor(4, 8)))
HOSTILE = {
    "huge header": packed(b"{}", b"", 2**40),
    "header beyond all memory": packed({"a": tensor(0, 8, (2,))}, length=2**63 + 5),
    "overlap": packed({"a": tensor(0, 8, (2,)), "b": tensor(4, 8)}),
    "hole": packed({"a": tensor(0, 4), "b": tensor(8, 12)}, bytes(12)),
    "overflow": packed({"a": tensor(0, 8, (2**62, 2**62))}),
    "duplicate key": packed(f'{{"a": {ONE}, "a": {TWO}}}'.encode()),
    "duplicate key, same bytes": packed(f'{{"a": {ONE}, "a": {ONE}}}'.encode(), bytes(4)),
    "trailing bytes": packed({"a": tensor(0, 4)}),
    "unknown type": packed({"a": tensor(0, 8, (2,), "F99")}),
    "negative shape": packed({"a": tensor(0, 4, (-1,))}, bytes(4)),
    "offsets backwards": packed({"a": tensor(8, 0, (2,))}),
    "deep nesting": packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no object": packed(b"[]"),
    "cut off": packed({"a": tensor(0, 8, (2,))})[:20],
}
HONEST = packed({"a": tensor(0, 4), "b": tensor(4, 8)})
