"""The reader of images. Memory and time are watched closely because its limit of pixels is lowered to one megapixel."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from importlib import import_module
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from i2i_forge.errors import DataError
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_benchmarks.fuzz_targets.mutation import changed

reader: Any = import_module("i2i_forge.data.decode")  # the package calls a function so
PNG = b"\x89PNG\r\n\x1a\n"
MEGAPIXEL = 1 << 20


def read(data: bytes) -> None:
    """Decode it; what the header promised must come, and the header scan must not refuse what can be decoded."""
    limit, reader.MAX_PIXELS = reader.MAX_PIXELS, MEGAPIXEL
    try:
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            file.write(data)
            file.flush()
            try:
                size = reader.check_header(file.name)
            except DataError:
                size = None
            image = reader.decode(file.name)
    finally:
        reader.MAX_PIXELS = limit
    assert (image.mode, image.size) == ("RGB", size), f"{image.mode} {image.size}, announced {size}"
    assert image.width * image.height <= MEGAPIXEL


def seeds() -> list[bytes]:
    """One of each format and mode, small; noise, so that nothing is trivial to compress."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, list[dict[str, Any]]] = {
        "PNG": [{}, {"exif": exif}, {"save_all": True, "append_images": [noise]}],
        "JPEG": [{}, {"exif": exif, "progressive": True}, {"icc_profile": bytes(200)}],
        "WEBP": [{}, {"lossless": True}, {"exif": exif}, {"save_all": True, "append_images": [noise]}],
        "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "jpeg"},
                 {"compression": "packbits"}, {"save_all": True, "append_images": [noise]}],
        "BMP": [{}],
        "PPM": [{}],
    }  # fmt: skip
    found = [_saved(noise, kind, **options) for kind, variants in kinds.items() for options in variants]
    modes = {
        "PNG": ("1", "L", "LA", "P", "RGBA", "I;16"), "TIFF": ("1", "L", "P", "RGBA", "CMYK", "F", "I;16", "YCbCr"),
        "JPEG": ("L", "CMYK"), "BMP": ("1", "L", "P"), "PPM": ("1", "L", "F"), "WEBP": ("RGBA",),
    }  # fmt: skip
    for kind, wanted in modes.items():
        for mode in wanted:
            grey = np.asarray(noise.convert("L"))
            image = (
                Image.fromarray(grey.astype(np.float32) / 255) if mode == "F"
                else Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16"
                else noise.convert(mode)
            )  # fmt: skip
            found.append(_saved(image, kind))
    found.append(_saved(noise.convert("P"), "PNG", transparency=3))
    return [*found, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a", b"<html>", b""]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def mutate(data: bytes, random: Random) -> bytes:
    """Change the chunks of a PNG and give them right checksums; other formats have none."""
    if not data.startswith(PNG):
        return changed(data, [data], TOKENS, random)
    chunks = list(_chunks(data))
    place = random.randrange(len(chunks)) if chunks else 0
    kind, content = chunks[place] if chunks else (b"IHDR", bytes(13))
    if random.random() < 0.3:
        kind = random.choice((b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"acTL", b"fcTL"))
    if kind == b"IDAT" and random.random() < 0.5:
        content = zlib.compress(changed(_inflated(content), [data], (), random))
    else:
        content = changed(content, [data], (), random)
    chunks[place : place + random.randrange(2)] = [(kind, content)] * random.choice((1, 1, 1, 2, 50))
    return PNG + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    place, found = len(PNG), []
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


TOKENS = (PNG, b"\xff\xd8\xff", b"\xff\xc0", b"\xff\xdb", b"\xff\xe1\0\xffExif\0\0", b"II*\0", b"MM\0*", b"RIFF",
          b"WEBPVP8X", b"ANMF", b"BM", b"P6 9 9 255 ", b"P4", b"Pf 9 9 -1.0 ", b"65535")  # fmt: skip
TARGET = Target(read, seeds, modules=(reader,), tokens=TOKENS, mutate=mutate, megabytes=128)
