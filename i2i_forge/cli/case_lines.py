"""What `forge data check` says of one image of cases: parts of a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from i2i_forge.data.case_survey import CaseSurvey
from i2i_forge.data.file_values import Image
from i2i_forge.data.folders import shown
from i2i_forge.data.proposals import looks_like
from i2i_forge.data.stored import Header

FORMATS = {"nifti": "NIfTI", "dicom": "DICOM", "tiff": "TIFF", "meta": "MetaImage"}


def kind_of(image: Image) -> str:
    """Its format and type."""
    is_map = any(text.startswith("lies at") for text in image.header.notes)
    name = image.formats.most_common(1)[0][0]
    name = next(iter(image.headers)).suffix[1:] if name == "picture" else name
    stack = f" x {len(image.patterns)}" if len(image.patterns) > 1 else ""
    kinds = Counter(f"{each.dtype}{_bands(each)}{stack}" for each in image.headers.values())
    return f"{'GeoTIFF' if is_map else FORMATS.get(name, name.upper())} {_counted(kinds)}"


def place_of(image: Image) -> Iterator[str]:
    """Its sizes and where they lie."""
    headers = image.headers.values()
    yield _counted(Counter(size_of(each) for each in headers), always=True)
    yield _counted(Counter(_spacing(each) for each in headers))
    yield _counted(Counter(each.orientation for each in headers))
    yield _counted(Counter(code for each in headers for text in each.notes for code in re.findall(r"EPSG:\d+", text)))


def beside_of(found: CaseSurvey) -> Iterator[str]:
    """In how many cases the grids are equal."""
    first, count = next(iter(found.images)), len(found.cases)
    yield f"same grid as {first} in {count - len(found.grids):,} of {count:,}"


def values_of(image: Image) -> Iterator[str]:
    """What its values are."""
    headers = image.headers.values()
    scales = Counter(f"slope {each.slope[0]:g} offset {each.offset[0]:g}" for each in headers)
    yield _counted(scales) if list(scales) != ["slope 1 offset 0"] else ""
    nodata = {f"{code:g}" for each in headers for code in each.nodata}
    yield f"nodata {', '.join(sorted(nodata))}" if nodata else ""
    yield f"in {image.header.unit}" if image.header.unit else ""
    low, high = image.ends
    read = list(image.values.values())
    count, missing = sum(v.count for v in read), sum(v.missing for v in read)
    if len(read) < len(image.headers):
        yield f"of {len(read)} files"
    if labels := image.labels:
        yield f"values {', '.join(map(str, labels))}"
        planes, empty = sum(v.planes for v in read), sum(v.empty for v in read)
        yield f"{sum(v.positive for v in read) / count:.0%} above 0" + (
            f"; {empty / planes:.0%} of slices are empty" if planes > len(read) else "")  # fmt: skip
        return
    if not count:
        yield "no values"
        return
    least, most = image.percentiles(0.1, 99.9)
    yield f"{low:,.6g}..{high:,.6g}, 0.1 %: {least:,.5g}, 99.9 %: {most:,.5g}"
    if missing:
        yield f"{missing / (count + missing):.1%} of the values are no data"
    if meaning := looks_like(image):
        yield f"looks like {meaning}"


def _bands(header: Header) -> str:
    if len(header.channels) == 1:
        return f" ({header.channels[0]})" if header.channels[0] else ""
    named = [name for name in header.channels if name]
    listed = ", ".join(named) if len(named) < 5 else f"{named[0]} ... {named[-1]}"
    return f" {len(header.channels)} channels" + (f" ({listed})" if named else "")


def size_of(header: Header) -> str:
    """Columns, rows and slices; other axes by their names."""
    odd = [f"{name} {length}" for name, length in header.axes if name != "z"]
    deep = [length for name, length in header.axes if name == "z"]
    return "x".join(map(str, [header.columns, header.rows, *deep])) + "".join(f" {each}" for each in odd)


def _spacing(header: Header) -> str:
    if header.spacing is None or not any(header.spacing):
        return ""
    deep = [header.spacing[0]] if header.spacing[0] else []
    return "x".join(f"{each:.4g}" for each in [header.spacing[2], header.spacing[1], *deep]) + " mm"


def _counted(counts: Counter[str], *, always: bool = False) -> str:
    found = [(text, count) for text, count in counts.most_common() if text]
    if len(found) == 1 and not always:
        return found[0][0]
    return shown([f"{text} ({count:,})" for text, count in found])
