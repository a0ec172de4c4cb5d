"""Changes of byte strings that know nothing of the format, and zips of whatever they made."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Sequence
from random import Random

NUMBERS = (-1, 0, 1, 2, 7, 8, 16, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def changed(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], random: Random) -> bytes:
    """`data` with one to eight changes: bits, numbers, blocks, tokens, parts of other inputs."""
    found = bytearray(data)
    for _ in range(2 ** random.randrange(4)):
        _change(found, others, tokens, random)
    return bytes(found)


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files by their names, which may be any."""
    target = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(target, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return target.getvalue()


def _change(data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes], random: Random) -> None:
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + 2 ** random.randrange(9))
    kind = random.randrange(8 if tokens else 7)
    if kind == 0:
        data[start : start + 1] = bytes(byte ^ (1 << random.randrange(8)) for byte in data[start : start + 1])
    elif kind == 1:
        number = _number(random)
        data[start : start + len(number)] = number
    elif kind == 2:
        del data[start:end]
    elif kind == 3:
        data[start:start] = data[start:end] * random.choice((1, 1, 2, 16))
    elif kind == 4:
        data[start:end] = random.randbytes(random.randrange(1, 9))
    elif kind == 5:
        other = random.choice(others)
        place = random.randrange(len(other) + 1)
        data[start : end if random.random() < 0.5 else None] = other[place : place + 2 ** random.randrange(13)]
    elif kind == 6:
        del data[start if random.random() < 0.2 else len(data) :]
    else:
        token = random.choice(tokens)
        data[start : start + random.choice((0, len(token)))] = token


def _number(random: Random) -> bytes:
    """A number where signs, widths and sums overflow; of one, two or four bytes, either way round."""
    width, code = random.choice(((1, "B"), (2, "<H"), (2, ">H"), (4, "<I"), (4, ">I")))
    return struct.pack(code, random.choice(NUMBERS) % 256**width)
