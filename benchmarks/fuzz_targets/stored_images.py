"""The built-in formats of images as they are stored, with a limit of a million values. tifffile writes the TIFFs."""

from __future__ import annotations

import logging
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data import Header
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_plugins import files

stored: Any = import_module("i2i_forge.data.stored")
MILLION = 1 << 20


@cache
def formats() -> dict[str, Any]:
    """The formats of the plugin by their names."""
    catalog = Catalog()
    files.register_components(catalog)
    return {entry.name: entry.component() for entry in catalog.files.entries()}


def read(data: bytes) -> None:
    """Open and read it by each format that takes it; what the header promised must come."""
    limits = stored.MAX_PIXELS, stored.MAX_CODES
    found = [each for each in formats().values() if each.sniff(data[:512], Path("image"))]
    stored.MAX_PIXELS = stored.MAX_CODES = MILLION
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            pairs = [(opened.header, opened.array()) for opened in (each.open(Path(file.name)) for each in found)]
    finally:
        stored.MAX_PIXELS, stored.MAX_CODES = limits
    for header, codes in pairs:
        assert codes.shape == header.shape, f"{codes.shape}, announced {header.shape}"
        assert codes.dtype == header.dtype, f"{codes.dtype}, announced {header.dtype}"


def seeds() -> list[bytes]:
    """One of each kind, small; noise, so that nothing is trivial to compress."""
    noise = np.random.default_rng(0).integers(0, 65536, (3, 9, 12)).astype(np.uint16)
    kinds: list[dict[str, Any]] = [
        {}, {"compression": "deflate", "predictor": True, "rowsperstrip": 4}, {"compression": "lzw", "tile": (16, 16)},
        {"compression": "zstd"}, {"compression": "lzma"}, {"compression": "packbits"}, {"byteorder": ">"},
        {"ome": True, "metadata": {"axes": "ZYX"}}, {"imagej": True}, {"bigtiff": True}, {"planarconfig": "separate"},
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for number, options in enumerate(kinds):
            tifffile.imwrite(Path(folder, f"{number}.tif"), noise, **{"photometric": "minisblack", **options})
        plane, volume = Header(9, 12, dtype="uint16"), Header(9, 12, axes=(("z", 3),), dtype="uint16")
        for name in ("tiff", "npy", "npz", "picture", "meta", "nrrd"):
            for header in (plane, volume)[: 1 if name == "picture" else 2]:
                codes = noise[:, None] if header.axes else noise[:1]
                formats()[name].write(Path(folder, f"{name}{len(header.axes)}"), codes, header, None)
        return [file.read_bytes() for file in sorted(Path(folder).iterdir())]


TOKENS = (b"II*\0", b"MM\0+", b"<OME", b'SizeZ="9"', b'{"shape": [3, 9, 12]}', b"ImageJ=1\nimages=9\n", b"\x93NUMPY",
          b"'shape': (9, 9)", b"PK\3\4", b"NDims = 3\n", b"CompressedData = True\n", b"ElementDataFile = ", b"NRRD0005",
          b"encoding: gzip\n", b"byte skip: -1\n", b"kinds: vector domain domain\n")  # fmt: skip
MODULES = ("arrays", "blocks", "geotiff", "meta_image", "nrrd", "ome", "picture", "quoted", "tiff",
           "tiff_pages")  # fmt: skip
TARGET = Target(
    read, seeds, modules=[import_module(f"i2i_forge_plugins.files.{name}") for name in MODULES], tokens=TOKENS
)
