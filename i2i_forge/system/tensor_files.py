"""Reading safetensors and JSON that may be hostile.

The safetensors library checks lengths, offsets, overlaps, holes, shapes and types. A header that has a name twice it
reads with the last one, and so do JSON readers; then two programs see two files in one. Here that is an error.
"""

from __future__ import annotations

import json
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

LARGEST_HEADER = 25_000_000  # bytes: some hundred thousand tensors


def read_tensors(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises ValueError that says what is wrong with it."""
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, LARGEST_HEADER):
        raise ValueError(f"its header claims {length:,} bytes")
    read_json(data[8 : 8 + length])
    try:
        return load(data)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(f"no tensors can be read: {error}") from error


def read_json(data: bytes) -> Any:
    """The content of a JSON file. Raises ValueError, also when an object has a key twice or it nests too deep."""
    try:
        return json.loads(data, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:60]!r} is in it twice")
    return found


def looks_like_tensors(start: bytes) -> bool:
    """Whether a file that begins so is meant to be a safetensors file."""
    return start[8:9] == b"{" and 0 in start[:8]  # the header's length, which is no text, and the header
