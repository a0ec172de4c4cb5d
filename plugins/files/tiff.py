"""TIFF as it is stored: any numbers, channels and pages; the axes of OME and ImageJ, the tags of GeoTIFF and GDAL."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.data import (
    Codes,
    Header,
    Stored,
    bad,
    check_file,
    check_size,
    check_type,
    grid_digest,
    reading,
)
from i2i_forge.errors import DataError

from . import geotiff, ome
from .quoted import unnamed
from .tiff_pages import ALONE, BY_PILLOW, DECODED, JPEG, Layout, StoredTiff, opened
from .upright import as_stored, swaps

AXES = {"C": "c", "Z": "z", "T": "t"}
UNEXPLAINED = "pages"  # what tifffile calls I, Q and other letters
WHITE_AT_0, GREY, RGB, PALETTE, MASK, YCBCR = 0, 1, 2, 3, 4, 6  # of the tag PhotometricInterpretation
POLARITY: Mapping[int, Any] = {WHITE_AT_0: "white_is_low", GREY: "white_is_high"}
ORIENTATION, SHORT = 274, 3
RESOLUTION, RESOLUTION_UNIT = (282, 283), 296
LARGEST_TILE = 2048**2  # pixels that a tile may have beyond those of its image, for tiles are filled up


class Tiff:
    """TIFF, BigTIFF, OME-TIFF, ImageJ's hyperstacks and GeoTIFF.

    Axes are those that OME-XML or ImageJ say; pages that nothing explains are the axis "pages". Only the first series
    of the file is read, in full size. Codes are as stored: MinIsWhite is not inverted, no colour is converted, except
    that YCbCr in JPEG becomes RGB. A file that says it is one part of several is read by itself.
    Written files are deflated where `like` is compressed.
    """

    endings = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".btf")
    needs: Mapping[str, str] = {}

    def sniff(self, head: bytes, path: Path) -> bool:
        """Whether it begins as TIFF and BigTIFF do."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def open(self, path: Path) -> Stored:
        """See i2i_forge.data.FileFormat."""
        size = check_file(path)
        with reading(path), opened(path) as (file, said):
            if file.is_ome:
                ome.refuse_lies(path, file.ome_metadata)
            series = file.series[0] if len(file.pages) and file.series else None
            if series is None or series.keyframe.dtype is None or not series.shape:
                raise bad(path, "holds no image that can be read", "copy or download it again, or convert it")
            header, layout, kept = described(path, file, series)
            errors = [one.getMessage() for one in said if one.levelno >= logging.ERROR]
            if errors:  # tifffile goes on with what is left
                raise bad(path, f"is damaged: {errors[0]}", "copy or download it again, or remove it")
            begins = 0 if layout.begins is None else layout.begins
            check_size(path, header, raw_bytes=None if layout.begins is None else size, begins=begins)
            if layout.begins is None and not layout.by_pillow:
                check_segments(path, series, size)
            return StoredTiff(path, header, layout, kept)

    def write(self, path: Path, codes: Codes, header: Header, like: Stored | None) -> None:
        """See i2i_forge.data.FileFormat. Axes "z" and "t" are written as OME-TIFF, unexplained pages as pages."""
        import tifffile

        kept = like.kept if isinstance(like, StoredTiff) else {}
        orientation = like.layout.orientation if isinstance(like, StoredTiff) else 1
        names = [name for name, _ in header.axes]
        if not set(names) <= {"z", "t"} and names != [UNEXPLAINED]:
            raise DataError(f"{path}: TIFF has no axes {' and '.join(names)}", fix="write one file for each place")
        is_colour = header.pixels == "colour" and len(header.channels) in (3, 4) and header.dtype != "bool"
        is_ome = ("ome" in kept and names != [UNEXPLAINED]) or bool({"z", "t"} & set(names))
        if is_ome and header.dtype not in ome.TYPES:
            raise DataError(f"{path}: OME-TIFF has no type {header.dtype}", fix="write float32, or an integer")
        codes = as_stored(codes, orientation)
        if len(header.channels) == 1:
            codes = codes[..., 0, :, :]
        elif is_colour:
            codes = np.moveaxis(codes, -3, -1)
        is_planar = not (is_ome or is_colour) and len(header.channels) > 1
        extra = [*kept.get("place", ()), *geotiff.band_tags(header, named=not (is_ome or is_colour))]
        if orientation != 1:
            extra.append((ORIENTATION, SHORT, 1, orientation))
        tifffile.imwrite(
            path, np.ascontiguousarray(codes), planarconfig="separate" if is_planar else None, ome=is_ome,
            photometric="miniswhite" if header.polarity == "white_is_low" else "rgb" if is_colour else "minisblack",
            compression=kept.get("compression"), **kept.get("layout", {}), extratags=[(*tag, True) for tag in extra],
            metadata=ome.metadata(header, kept.get("ome", {}), is_colour) if is_ome else None,
        )  # fmt: skip


def described(path: Path, file: Any, series: Any) -> tuple[Header, Layout, dict[str, Any]]:
    """The header, how the pages lie, and what a file that is written like it takes over."""
    page = series.keyframe
    orientation = int(page.tags.valueof(ORIENTATION, 1))
    by_pillow = check_codec(path, file, page, orientation)
    order = "=" if page.dtype.itemsize == 1 else file.byteorder
    layout = layout_of(path, series, page.dtype.newbyteorder(order), orientation, by_pillow)
    planes, depth, height, width, samples = layout.page
    axes = [each for each in layout.lead if each[0] != "c"] + [("z", depth)] * (depth > 1)
    channels = dict(layout.lead).get("c", 1) * planes * samples
    place = geotiff.place_tags(page.tags)
    where = geotiff.geometry(place)
    sizes, names = ome.facts(file.ome_metadata) if series.kind == "ome" else ({}, ())
    rows, columns = (width, height) if swaps(orientation) else (height, width)
    pixels, colours = pixels_of(page, unnamed(path, channels))
    facts = geotiff.band_facts(str(page.tags.valueof(geotiff.BANDS, "")), channels)
    if any(facts["channels"]):
        pixels = "numbers" if pixels == "colour" else pixels  # GDAL calls any three bands of 8 bits RGB
    else:
        facts["channels"] = names if len(names) == channels else colours
    header = Header(
        rows=rows, columns=columns, axes=tuple(axes), dtype=check_type(path, page.dtype), spacing=ome.spacing(sizes),
        nodata=geotiff.nodata_of(str(page.tags.valueof(geotiff.NODATA, ""))), bits=int(np.max(page.bitspersample)),
        polarity=POLARITY.get(int(page.photometric), ""),
        grid=grid_digest(rows, columns, *where), is_raw=layout.begins is not None and np.dtype(layout.dtype).isnative,
        pixels=pixels, notes=notes(file, series, where), **facts,
    )  # fmt: skip
    kept = {"place": place, "compression": None if page.compression == 1 else "zlib", "layout": laid_out(page)}
    return header, layout, kept | ({"ome": sizes} if series.kind == "ome" else {})


def laid_out(page: Any) -> dict[str, Any]:
    """How a page is cut into tiles and how large its pixels are printed, as `tifffile.imwrite` takes it."""
    across, down = (page.tags.valueof(tag) for tag in RESOLUTION)
    unit = page.tags.valueof(RESOLUTION_UNIT)
    found: dict[str, Any] = {"tile": page.tile} if page.is_tiled else {}
    if across and down:
        found |= {"resolution": (across, down), "resolutionunit": int(unit or 1)}
    return found


def check_codec(path: Path, file: Any, page: Any, orientation: int) -> bool:
    """Whether Pillow has to decode it, because imagecodecs is not there. Raises DataError of what nothing decodes."""
    import tifffile

    compression, kind = int(page.compression), int(page.photometric)
    if kind not in (WHITE_AT_0, GREY, RGB, PALETTE, MASK) and (kind, compression) != (YCBCR, JPEG):
        said = tifffile.PHOTOMETRIC(kind).name if kind in list(tifffile.PHOTOMETRIC) else str(kind)
        raise bad(path, f"holds {said} colours, which are neither measured values nor RGB", "convert it")
    if page.bitspersample == 1 and page.shaped[4] > 1:
        raise bad(path, f"holds {page.shaped[4]} bits for each pixel", "write bytes")  # each row is packed otherwise
    is_packed = page.bitspersample not in (1, 8, 16, 32, 64) or page.fillorder != 1
    if compression not in DECODED or page.predictor not in (1, 2, 3):
        raise bad(path, f"is compressed by {getattr(page.compression, 'name', compression)}, which is not read here",
                  "write it with deflate, LZW or zstd")  # fmt: skip
    if (compression in ALONE and page.predictor != 3 and not is_packed) or importlib.util.find_spec("imagecodecs"):
        return False
    one_grey_page = len(file.pages) == page.samplesperpixel == orientation == kind == 1
    if not one_grey_page or compression not in BY_PILLOW or is_packed:
        said = f"is compressed by {page.compression.name}, predictor {int(page.predictor)}, {page.bitspersample} bits"
        raise DataError(f"{path}: {said}, which needs imagecodecs", fix="pip install 'i2i-forge[tiff]'")
    return True


def layout_of(path: Path, series: Any, dtype: np.dtype[Any], orientation: int, by_pillow: bool) -> Layout:
    """How the pages of a series lie. Raises BadImage where pages are missing, or metadata say what they are not."""
    page = series.keyframe
    axes = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 or axis in "YX"]
    own = [(axis, n) for axis, n in zip(page.axes, page.shape, strict=True) if n > 1 or axis in "YX"]
    before = axes[: len(axes) - len(own)]
    count = math.prod(n for _, n in before)
    if axes[len(before) :] != own or (len(series) != count and series.dataoffset is None):
        raise bad(path, f"has {len(series)} pages of {page.shape}; its metadata speak of {series.shape}",
                  "copy or download it again, or write it without them")  # fmt: skip
    lead: list[tuple[str, int]] = []
    for axis, n in before:
        name = AXES.get(axis, UNEXPLAINED)
        taken = sum(known.rstrip("0123456789") == name for known, _ in lead)
        lead.append((f"{name}{taken + 1}" if taken else name, n))
    shape = tuple(n for _, n in lead)
    if series.dataoffset is not None:
        return Layout(tuple(lead), page.shaped, dtype.str, series.dataoffset, None, orientation)
    pages = list(series)
    if None in pages:
        raise bad(path, f"lacks {pages.count(None)} of its {count} pages", "copy or download it again, or remove it")
    offsets = np.array([each.offset for each in pages], np.int64).reshape(shape)
    return Layout(tuple(lead), page.shaped, dtype.str, None, offsets, orientation, by_pillow)


def check_segments(path: Path, series: Any, size: int) -> None:
    """Raise BadImage where strips or tiles are missing or lie behind the end of the file."""
    keyframe = series.keyframe
    has_nodata = keyframe.tags.get(geotiff.NODATA) is not None
    if math.prod(keyframe.chunks) > 4 * keyframe.size + LARGEST_TILE:
        raise bad(path, f"has strips or tiles of {keyframe.chunks}, larger than its image", "write it again")
    for page in series:
        offsets, counts = (np.asarray(each, np.float64) for each in (page.dataoffsets, page.databytecounts))
        wanted = math.prod(keyframe.chunked)
        if len(offsets) != len(counts) or len(offsets) < wanted:
            raise bad(path, f"has {len(offsets)} of {wanted} strips or tiles", "copy or download it again")
        if not has_nodata and not counts[:wanted].all():
            raise bad(path, "lacks strips or tiles, and says no nodata for them", "copy or download it again")
        if (offsets + counts).max() > size:
            raise bad(path, f"is truncated: {size:,} bytes, its header says {int((offsets + counts).max()):,}",
                      "copy or download it again, or remove it")  # fmt: skip


def pixels_of(page: Any, blank: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """What codes are, and the names of channels, by the tag PhotometricInterpretation; `blank` are no names."""
    if page.photometric == PALETTE:
        return "palette", blank
    if page.photometric not in (RGB, YCBCR) or len(blank) < 3:
        return "numbers", blank
    has_alpha = len(blank) == 4 and [int(each) for each in page.extrasamples] in ([1], [2])
    return "colour", ("R", "G", "B", *(["A"] if has_alpha else blank[3:]))


def notes(file: Any, series: Any, where: tuple[Any, ...]) -> tuple[str, ...]:
    """What a user should know."""
    found = list(geotiff.place_in_words(where))
    if series.keyframe.photometric == WHITE_AT_0:
        found.append("MinIsWhite: codes are taken as stored")
    if (others := len(file.series) - 1) > 0:
        found.append(f"holds {others} more series of images, which are not read")
    if (levels := len(series.levels) - 1) > 0:
        found.append(f"holds {levels} smaller copies of its image, which are not read")
    return tuple(found)
