"""OME-XML: names of channels, physical sizes, and the axes that are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from i2i_forge.data import Header, bad

TYPES = ("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
MOST_PAGES = 1_000_000
TO_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "\u00b5m": 1e-3, "um": 1e-3, "nm": 1e-6, "pm": 1e-9}


def refuse_lies(path: Path, text: str) -> None:
    """Raise BadImage of numbers of pages that cannot be true: tifffile makes lists as long as they say."""
    for each in ElementTree.fromstring(text).iter():
        planes = math.prod(int(each.get(f"Size{axis}", 1)) for axis in "ZCT")
        others = [int(each.get(name, 0)) for name in ("IFD", "PlaneCount", "NumPlanes", "FirstZ", "FirstC", "FirstT")]
        steps = (float(each.get("End", 0)) - float(each.get("Start", 0))) / float(each.get("Step", 1))
        if not max(planes, *others, steps) <= MOST_PAGES:
            raise bad(path, f"its OME-XML speaks of more than {MOST_PAGES:,} pages", "write it again")


def facts(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The attributes that say physical sizes, as they are; and the channels' names.

    Raises:
        ElementTree.ParseError: the text is damaged.
    """
    pixels = ElementTree.fromstring(text).find("{*}Image/{*}Pixels")
    assert pixels is not None  # or tifffile would have found no series
    sizes = {name: value for name, value in pixels.items() if name.startswith("PhysicalSize")}
    return sizes, tuple(each.get("Name", "") for each in pixels.findall("{*}Channel"))


def spacing(sizes: Mapping[str, str]) -> tuple[float, float, float] | None:
    """Of slices, rows and columns, in millimetres where the unit is one of length; micrometres need not be said."""
    if "PhysicalSizeX" not in sizes:
        return None
    z, y, x = (
        float(sizes.get(f"PhysicalSize{axis}", 0)) * TO_MM.get(sizes.get(f"PhysicalSize{axis}Unit", "um"), 1.0)
        for axis in "ZYX"
    )
    return z, y, x


def metadata(header: Header, sizes: Mapping[str, str], is_colour: bool) -> dict[str, Any]:
    """What tifffile makes OME-XML of.

    Args:
        sizes: of the file that it is written like.
    """
    axes = "".join(name.upper() for name, _ in header.axes)
    axes += "YXS" if is_colour else "CYX" if len(header.channels) > 1 else "YX"
    found: dict[str, Any] = {"axes": axes, **sizes}
    if any(header.channels) and not is_colour:
        found["Channel"] = {"Name": list(header.channels)}
    for axis, step in zip("ZYX", header.spacing or (), strict=False):
        if step and not sizes:
            found |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    return found
