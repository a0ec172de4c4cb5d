"""forge data check of images that are not 8-bit pictures: one line for each image, then what a recipe says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from i2i_forge.cli.case_lines import beside_of, kind_of, place_of, size_of, values_of
from i2i_forge.cli.common import note, print_json, say, warn
from i2i_forge.cli.progress import Counted
from i2i_forge.data.case_survey import CaseSurvey, survey_cases
from i2i_forge.data.file_formats import Files
from i2i_forge.data.file_values import Image
from i2i_forge.data.proposals import Proposal, looks_like, propose
from i2i_forge.errors import DataError, UsageError
from i2i_forge.recipe.yaml_text import to_inline_yaml

STEP = {"uint32": 64, "int32": 64, "uint64": 2**40, "int64": 2**40}  # codes that float32 in [-1, 1] cannot tell apart
SPREAD = {"in-plane": 1.05, "through the planes": 1.2}  # of spacings, above which it is said


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
    if damaged := found.damaged:
        total = sum(len(image.headers) + len(image.damaged) for image in found.images.values())
        fix = next(iter(damaged.values())).fix if len(damaged) == 1 else "repair or remove these files"
        raise DataError(f"{len(damaged)} of {total} images in {folder} cannot be used", fix=fix)
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
    width = max(map(len, found.images))
    for number, (name, image) in enumerate(found.images.items()):
        if image.headers:
            facts = [kind_of(image), *(place_of(image) if number == 0 or not found.paired else beside_of(found))]
            say("  " + "   ".join([name.ljust(width), *filter(None, [*facts, *values_of(image)])]))
    for error in found.damaged.values():
        say(error.message)
    for text, paths in _notes(found.images.values()).items():
        say(f"{len(paths):,} of the files: {text}; for example {paths[0]}")
    for text in _warnings(found):
        warn(text)
    _print_proposal(proposal)


def _notes(images: Iterable[Image]) -> dict[str, list[Path]]:
    """What headers say, and the files; where a map lies is in its line."""
    found: dict[str, list[Path]] = {}
    for image in images:
        for path, header in image.headers.items():
            for text in header.notes:
                if not text.startswith("lies at"):
                    found.setdefault(text, []).append(path)
    return found


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
        yield from (f"{name}: {text}" for text in _spread(image))
    if found.divided:
        yield found.divided
    if found.twins:
        first = " and ".join(map(str, found.twins[0]))
        yield f"files that share planes between training and test: {len(found.twins):,}, for example {first}"


def _spread(image: Image) -> Iterator[str]:
    spacings = [header.spacing for header in image.headers.values() if header.spacing]
    for axes, (what, most) in zip(((1, 2), (0,)), SPREAD.items(), strict=True):
        sizes = [spacing[axis] for spacing in spacings for axis in axes if spacing[axis]]
        if sizes and max(sizes) > most * min(sizes):
            yield f"spacings {what} differ from {min(sizes):.4g} to {max(sizes):.4g}; nothing is resampled"


def _print_proposal(proposal: Proposal | None) -> None:
    if proposal is None:
        say("in a recipe: a and b are not found: name them, --set 'files.a=PATTERN' --set 'files.b=PATTERN'")
        return
    say(f"in a recipe:    {proposal.channels[0]} -> {proposal.channels[1]} channels")
    say(f"  data: {to_inline_yaml(proposal.data)}")
    if proposal.domains:
        say(f"  domains: {to_inline_yaml(proposal.domains)}")
    for hint in proposal.hints:
        note(f"note: {hint}")


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
                "sizes": dict(Counter(size_of(header) for header in image.headers.values())),
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
        "noted": {text: [str(path) for path in paths] for text, paths in _notes(found.images.values()).items()},
        "warnings": list(_warnings(found)),
        "missing": list(found.missing),
        "grids": list(found.grids),
        "in_training_and_test": [[str(a), str(b)] for a, b in found.twins],
        "data": [proposal.data] if proposal else [],
        "domains": [proposal.domains] if proposal else [],
    }


def _finite(*values: float) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
