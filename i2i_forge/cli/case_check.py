"""forge data check of images that are not 8-bit pictures: one line for each image, then what a recipe says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from i2i_forge.cli.common import note, print_json, refuse_damaged, say, say_damaged_and_noted, warn
from i2i_forge.cli.progress import Counted
from i2i_forge.data.case_survey import CaseSurvey, survey_cases
from i2i_forge.data.file_formats import Files
from i2i_forge.data.file_values import Image
from i2i_forge.data.folders import shown
from i2i_forge.data.proposals import Proposal, looks_like, propose
from i2i_forge.data.stored import Header
from i2i_forge.errors import DataError, UsageError
from i2i_forge.recipe.yaml_text import to_inline_yaml

STEP = {"uint32": 64, "int32": 64, "uint64": 2**40, "int64": 2**40}  # codes that float32 in [-1, 1] cannot tell apart
SPREAD = ("in-plane", (1, 2), 1.05), ("through the planes", (0,), 1.2)  # of spacings, above which it is said
FORMATS = {"nifti": "NIfTI", "dicom": "DICOM", "tiff": "TIFF", "meta": "MetaImage"}


def patterns_of(changes: Iterable[str]) -> dict[str, list[str]]:
    """Image -> its patterns, of `--set files.a={case}/mr.nii.gz`; commas part those of a stack. Raises UsageError."""
    found = {}
    for change in changes:
        key, equals, text = change.partition("=")
        name = key.strip().removeprefix("files.")
        if not equals or name == key.strip() or not text.strip():
            raise UsageError(f"--set {change}: this is not files.NAME=PATTERN", fix="--set 'files.a={case}/mr.nii.gz'")
        found[name] = [pattern.strip().strip("\"'") for pattern in text.strip(" []").split(",")]
    return found


def check_cases(folder: Path, files: Files, changes: Iterable[str], as_json: bool) -> None:
    """Survey a folder and say what it holds.

    Raises:
        DataError: images are damaged, missing, or lie on different grids.
    """
    found = survey_cases(folder, files, patterns_of(changes), Counted())
    proposal = propose(found)
    if as_json:
        print_json(_facts(found, proposal))
    else:
        _print(found, proposal)
    _refuse(found, folder)


def _refuse(found: CaseSurvey, folder: Path) -> None:
    refuse_damaged(found, sum(len(image.headers) + len(image.damaged) for image in found.images.values()), folder)
    if found.missing:
        raise DataError(
            f"{len(found.missing)} cases in {folder} miss files: {'; '.join(found.missing[:5])}",
            fix="add or remove these files; or go on without these cases (on_bad: skip)",
        )
    if found.grids:
        raise DataError(
            f"the files of {len(found.grids)} of {len(found.cases)} cases do not lie on one grid: {found.grids[0]}",
            fix="resample them onto one grid first, or leave one of them out of `files`",
        )


def _print(found: CaseSurvey, proposal: Proposal | None) -> None:
    groups = len({case.group for case in found.cases})
    names = ", ".join(pattern for image in found.images.values() for pattern in image.patterns)
    what = "cases" if found.paired else "files that are no pairs"
    say(f"{found.root}: {len(found.cases):,} {what}, {groups:,} groups: {names}")
    first, count = next(iter(found.images)), len(found.cases)
    width = max(map(len, found.images))
    for name, image in found.images.items():
        same = f"same grid as {first} in {count - len(found.grids):,} of {count:,}"
        place = [same] if found.paired and name != first else _place(image)
        if image.headers:
            say("  " + "   ".join([name.ljust(width), *filter(None, [_kind(image), *place, *_values(image)])]))
    say_damaged_and_noted(found)
    for text in _warnings(found):
        warn(text)
    if proposal is None:
        say("in a recipe: a and b are not found: name them, --set 'files.a=PATTERN' --set 'files.b=PATTERN'")
        return
    say(f"in a recipe:    {proposal.channels[0]} -> {proposal.channels[1]} channels")
    say(f"  data: {to_inline_yaml(proposal.data)}")
    if proposal.domains:
        say(f"  domains: {to_inline_yaml(proposal.domains)}")
    for hint in proposal.hints:
        note(f"note: {hint}")


def _kind(image: Image) -> str:
    """Its format and type."""
    name = image.formats.most_common(1)[0][0]
    name = next(iter(image.headers)).suffix[1:] if name == "picture" else name
    stack = f" x {len(image.patterns)}" if len(image.patterns) > 1 else ""
    kinds = Counter(f"{each.dtype}{_bands(each)}{stack}" for each in image.headers.values())
    return f"{'GeoTIFF' if image.is_map else FORMATS.get(name, name.upper())} {_counted(kinds)}"


def _bands(header: Header) -> str:
    named = [name for name in header.channels if name]
    listed = ", ".join(named) if len(named) < 5 else f"{named[0]} ... {named[-1]}"
    count = f" {len(header.channels)} channels" if len(header.channels) > 1 else ""
    return count + (f" ({listed})" if named else "")


def _place(image: Image) -> Iterator[str]:
    """Its sizes and where they lie."""
    headers = image.headers.values()
    yield shown([f"{size} ({count:,})" for size, count in Counter(map(_size, headers)).most_common()])
    yield _counted(Counter(map(_spacing, headers)))
    yield _counted(Counter(each.orientation for each in headers))
    yield _counted(Counter(code for each in headers for text in each.notes for code in re.findall(r"EPSG:\d+", text)))


def _size(header: Header) -> str:
    """Columns, rows and slices; other axes by their names."""
    deep = [length for name, length in header.axes if name == "z"]
    odd = [f" {name} {length}" for name, length in header.axes if name != "z"]
    return "x".join(map(str, [header.columns, header.rows, *deep])) + "".join(odd)


def _spacing(header: Header) -> str:
    found = [f"{each:.4g}" for each in reversed(header.spacing or ()) if each]
    return f"{'x'.join(found)} mm" if found else ""


def _values(image: Image) -> Iterator[str]:
    """What its values are."""
    headers, read = image.headers.values(), list(image.values.values())
    scales = Counter(f"slope {each.slope[0]:g} offset {each.offset[0]:g}" for each in headers)
    yield _counted(scales) if list(scales) != ["slope 1 offset 0"] else ""
    nodata = {f"{code:g}" for each in headers for code in each.nodata}
    yield f"nodata {', '.join(sorted(nodata))}" if nodata else ""
    yield f"in {image.header.unit}" if image.header.unit else ""
    yield f"of {len(read)} files" if len(read) < len(headers) else ""
    count, missing = sum(v.count for v in read), sum(v.missing for v in read)
    if not count:
        yield "no values"
    elif labels := image.labels:
        yield f"values {', '.join(map(str, labels))}"
        planes, empty = sum(len(v.digests) for v in read), sum(v.empty for v in read)
        slices = f"; {empty / planes:.0%} of slices are empty" if planes > len(read) else ""
        yield f"{sum(v.positive for v in read) / count:.0%} above 0{slices}"
    else:
        low, high, least, most = (*image.ends, *image.percentiles(0.1, 99.9))
        yield f"{low:,.6g}..{high:,.6g}, 0.1 %: {least:,.5g}, 99.9 %: {most:,.5g}"
        yield f"{missing / (count + missing):.1%} of the values are no data" if missing else ""
        yield f"looks like {meaning}" if (meaning := looks_like(image)) else ""


def _counted(counts: Counter[str]) -> str:
    """What there is, and how often where it is not all the same."""
    found = [(text, count) for text, count in counts.most_common() if text]
    return found[0][0] if len(found) == 1 else shown([f"{text} ({count:,})" for text, count in found])


def _warnings(found: CaseSurvey) -> Iterator[str]:
    for name, image in found.images.items():
        by_polarity = {header.polarity: path for path, header in image.headers.items() if header.polarity}
        if len(by_polarity) > 1:
            one, two = by_polarity.values()
            yield f"{name}: {one} asks to be shown inverted and {two} does not: say `polarity` of its domain"
        if step := STEP.get(image.header.dtype if image.headers else ""):
            yield f"{name}: values over the full range of {image.header.dtype} return in steps of about {step:,}"
        if any(v.missing > v.count for v in image.values.values()):
            yield f"{name}: more than half of some file is no data"
        if flat := [path for path, v in image.values.items() if v.low == v.high]:
            yield f"{name}: all values are equal in {len(flat)} files, for example {flat[0]}"
        for what, axes, most in SPREAD:
            spacings = [header.spacing for header in image.headers.values() if header.spacing]
            sizes = [spacing[axis] for spacing in spacings for axis in axes if spacing[axis]]
            if sizes and max(sizes) > most * min(sizes):
                yield f"{name}: spacings {what} differ from {min(sizes):.4g} to {max(sizes):.4g}; nothing is resampled"
    if found.divided:
        yield found.divided
    if found.twins:
        first = " and ".join(map(str, found.twins[0]))
        yield f"files that share planes between training and test: {len(found.twins):,}, for example {first}"


def _facts(found: CaseSurvey, proposal: Proposal | None) -> dict[str, Any]:
    return {
        "cases": len(found.cases),
        "groups": len({case.group for case in found.cases}),
        "paired": found.paired,
        "images": {
            name: {
                "patterns": list(image.patterns),
                "files": len(image.headers),
                "formats": dict(image.formats),
                "sizes": dict(Counter(map(_size, image.headers.values()))),
                "dtypes": dict(Counter(header.dtype for header in image.headers.values())),
                "channels": list(image.header.channels) if image.headers else [],
                "ends": _finite(*image.ends),
                "percentiles": dict(zip(("0.1", "99.9"), _finite(*image.percentiles(0.1, 99.9)), strict=True)),
                "labels": image.labels,
                "looks_like": looks_like(image) if image.headers else "",
                "damaged": {str(path): error.message for path, error in image.damaged.items()},
            }
            for name, image in found.images.items()
        },
        "noted": {text: [str(path) for path in paths] for text, paths in found.noted.items()},
        "warnings": list(_warnings(found)),
        "missing": list(found.missing),
        "grids": list(found.grids),
        "in_training_and_test": [[str(a), str(b)] for a, b in found.twins],
        "data": [proposal.data] if proposal else [],
        "domains": [proposal.domains] if proposal else [],
    }


def _finite(*values: float) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
