"""Tags of GeoTIFF and GDAL: where an image lies, and what its bands are."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

from i2i_forge.data import Header

PLACE = (33550, 33922, 34264, 34735, 34736, 34737)  # pixel scale, tie points, transformation; keys of the CRS
BANDS, NODATA = 42112, 42113  # GDAL_METADATA, GDAL_NODATA
ASCII = 2
CRS = {3072: "projected", 2048: "geographic"}  # keys of EPSG codes

Tag = tuple[int, int, int, Any]  # code, type, count, value


def place_tags(tags: Any) -> tuple[Tag, ...]:
    """The tags that say where an image lies, as tifffile writes them."""
    found = [tags.get(code) for code in PLACE]
    return tuple((tag.code, int(tag.dtype), tag.count, tag.value) for tag in found if tag is not None)


def geometry(place: tuple[Tag, ...]) -> tuple[Any, ...]:
    """What identifies the grid: the transform (x from column, row, 1; y likewise) and the EPSG code; () of no GeoTIFF.

    Files of other programs say the same in other tags, so these are not compared.
    """
    values = {code: value for code, _, _, value in place}
    if 34264 in values:
        matrix = np.reshape(values[34264], (4, 4))[:2, [0, 1, 3]]
    elif 33550 in values and 33922 in values:
        (width, height), (column, row, _, x, y, _) = values[33550][:2], values[33922][:6]
        matrix = np.array([[width, 0, x - column * width], [0, -height, y + row * height]])
    else:
        return ()
    keys = np.reshape(values.get(34735, ()), (-1, 4)).tolist()
    codes = [int(value) for key, _, _, value in keys if key in CRS]
    return (tuple(float(f"{value:.9g}") for value in matrix.ravel().tolist()), *codes)


def place_in_words(found: tuple[Any, ...]) -> tuple[str, ...]:
    """The geometry as a note."""
    if not found:
        return ()
    (a, b, c, d, e, f), *codes = found
    crs = ", ".join(f"EPSG:{code}" for code in codes) or "no EPSG code"
    return (f"lies at ({c:.9g}, {f:.9g}), columns step ({a:.9g}, {d:.9g}), rows ({b:.9g}, {e:.9g}); {crs}",)


def band_facts(text: str, channels: int) -> dict[str, Any]:
    """Names, slope, offset and unit of bands as GDAL's metadata have them: fields of a Header.

    Raises:
        ElementTree.ParseError, ValueError: the text is damaged.
    """
    names, slopes, offsets, unit = [""] * channels, [1.0] * channels, [0.0] * channels, ""
    for item in ElementTree.fromstring(text.rstrip("\0")) if text else ():
        sample, role, value = int(item.get("sample", -1)), item.get("role"), item.text or ""
        if role == "unittype":
            unit = value
        elif not 0 <= sample < channels:
            continue
        elif role == "description":
            names[sample] = value
        elif role == "scale":
            slopes[sample] = float(value)
        elif role == "offset":
            offsets[sample] = float(value)
    found: dict[str, Any] = {"channels": tuple(names), "unit": unit}
    if slopes != [1.0] * channels or offsets != [0.0] * channels:
        found |= {"slope": tuple(slopes), "offset": tuple(offsets)}
    return found


def nodata_of(text: str) -> tuple[float, ...]:
    """GDAL's nodata; () where there is none, or it is no number."""
    said = re.fullmatch(r"\s*([-+.\w]+)[\s\0]*", text)
    try:
        return (float(said[1]),) if said else ()
    except ValueError:
        return ()


def band_tags(header: Header, *, named: bool) -> list[Tag]:
    """The tags of GDAL that say what `header` does; the names of bands too where they are to be `named`."""
    root = ElementTree.Element("GDALMetadata")

    def item(name: str, role: str, sample: int, value: object) -> None:
        ElementTree.SubElement(root, "Item", name=name, sample=str(sample), role=role).text = str(value)

    count = len(header.channels)
    slopes, offsets = (each if len(each) == count else each * count for each in (header.slope, header.offset))
    has_scale = any(slope != 1 for slope in slopes) or any(offsets)
    for sample, name in enumerate(header.channels):
        if name and named:
            item("DESCRIPTION", "description", sample, name)
        if has_scale:
            item("OFFSET", "offset", sample, repr(offsets[sample]))
            item("SCALE", "scale", sample, repr(slopes[sample]))
        if header.unit:
            item("UNITTYPE", "unittype", sample, header.unit)
    tags: list[Tag] = []
    if len(root):
        tags.append((BANDS, ASCII, 0, ElementTree.tostring(root).decode() + "\n"))  # other letters as references
    if header.nodata:
        tags.append((NODATA, ASCII, 0, f"{header.nodata[0]:.17g}"))
    return tags
