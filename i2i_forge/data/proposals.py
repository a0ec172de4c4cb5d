"""What a recipe would say of a surveyed folder: its sections `data` and `domains`. They are proposals, shown to a user.

A range of measured values, a unit that files do not name, and what is translated into what are read off the values and
the names; whoever pastes them knows whether they are so.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from i2i_forge.data.case_survey import CaseSurvey
from i2i_forge.data.file_values import Image

CT = (-1024, 3071)
SCALED = "reflectance x 10,000"
MOST_SCALE = 2  # between cases whose values one range serves
MOST_CHANNELS = 32  # that the planes of a stack become beside a flat image
TARGETS = re.compile(r"ct|target|gt|t1c|t1ce|t1gd|s2|optical|fl|fluo\w*|high|hr", re.IGNORECASE)
CONTRASTS = re.compile(r"t1n?|t2w?|flair|t2f|pd|t1w", re.IGNORECASE)  # of one brain, as they are named
BANDS = re.compile(r"B\d\d?A?")  # of Sentinel-2


@dataclass(frozen=True)
class Proposal:
    """Sections of a recipe.

    Attributes:
        data, domains: plain data; `domains` is {} where all is 8-bit RGB.
        channels: of a and of b.
        hints: what the user has to decide, in sentences.
    """

    data: dict[str, Any]
    domains: dict[str, Any]
    channels: tuple[int, int]
    hints: list[str]


def propose(survey: CaseSurvey) -> Proposal | None:
    """What fits; None where fewer than two images are there."""
    images = {name: image for name, image in survey.images.items() if image.headers}
    roles = _roles(images)
    if roles is None:
        return None
    sources, target, masks = roles
    both = {"a": [images[name] for name in sources], "b": [images[target]]}
    domains = {role: _domain(group, survey, role) for role, group in both.items()}
    hints = [*_axes(domains, both), *_scales(images[target])]
    further = {f"{name}_" if name in both else name: images[name] for name in masks}
    for name, image in further.items():
        axes = {axis: kind for axis, kind in domains["b"].get("axes", {}).items() if axis in dict(image.header.axes)}
        domains[name] = {"kind": "labels"} | ({"axes": axes} if axes else {}) | ({} if survey.paired else {"of": "b"})
    if left := [name for name in images if name not in (*sources, target, *masks)]:
        hints.append(f"not used: {', '.join(left)}; several are stacked as channels: files: {{a: [..., ...]}}")
    if survey.layout and not survey.layout.split:
        hints.append("no folder says what tests: split: {test: 0.15} takes the last groups; see `forge data split`")
    data = _data(survey, {**both, **{name: [image] for name, image in further.items()}})
    counts = _count(domains["a"]), _count(domains["b"])
    return Proposal(data, {name: said for name, said in domains.items() if said}, counts, hints)


def _data(survey: CaseSurvey, stacks: Mapping[str, Sequence[Image]]) -> dict[str, Any]:
    data: dict[str, Any] = {"use": "cases", "root": str(survey.root)}
    if survey.layout is None:
        data["use"] = "paired_folders" if survey.paired else "unpaired_folders"
        return data | ({"layout": "two_folders"} if survey.paired else {})
    patterns = {name: [p for image in stack for p in image.patterns] for name, stack in stacks.items()}
    data["files"] = {name: each[0] if len(each) == 1 else each for name, each in patterns.items()}
    if not survey.paired:
        data["paired"] = False
    return data | ({"split": dict(survey.layout.split)} if survey.layout.split else {})


def _roles(images: Mapping[str, Image]) -> tuple[list[str], str, list[str]] | None:
    """The images of a, that of b, and masks."""
    labels = [name for name, image in images.items() if image.labels]
    if images.keys() >= {"a", "b"}:
        return ["a"], "b", [name for name in labels if name not in ("a", "b")]
    measured = [name for name in images if name not in labels]
    if len(images) < 2 or not measured:
        return None
    if len(measured) == 1:
        return [labels[0]], measured[0], []
    ct = [name for name in measured if _is_ct(images[name])]
    known = [name for name in measured if TARGETS.fullmatch(name)]
    target = (ct or known or measured[-1:])[0]
    others = [name for name in measured if name != target]
    sources = [name for name in others if CONTRASTS.fullmatch(name)] or others[:1]
    masks = [name for name in labels if "mask" in name.lower() or len(labels) == 1]
    return sources, target, masks


def _domain(group: Sequence[Image], survey: CaseSurvey, role: str) -> dict[str, Any]:
    """The description of one domain; {} of 8-bit RGB."""
    image, header = group[0], group[0].header
    names = [name for each in group for name in each.header.channels * len(each.patterns)]
    is_picture = header.dtype == "uint8" and not header.axes
    if is_picture and header.pixels == "colour" and len(names) == 3:
        return {}
    if labels := image.labels:
        return {"kind": "labels", "values": labels}
    if is_picture and len(names) == 1:
        return {"kind": "grey8"}
    said: dict[str, Any] = {}
    if len(group) > 1:
        said["channels"] = [name for name, each in survey.images.items() if each in group]
    elif len(names) > 1:
        said["channels"] = names if all(names) and len(set(names)) == len(names) else len(names)
    meaning = looks_like(image)
    if meaning == SCALED:
        said["convert"] = {"times": 1e-4}
    if unit := meaning.partition(" ")[0] or header.unit:
        said.update(unit=unit)
    said["range"] = _range(group, meaning)
    if not meaning and role == "a" and header.orientation and survey.layout:
        said["range"] = {"percentile": [0, 99.5], "over": "case"}
    if header.nodata:
        said["nodata"] = ["file", "nan"] if "float" in header.dtype else "file"
    return said


def _range(group: Sequence[Image], meaning: str) -> list[float]:
    if meaning == "HU":
        return list(CT)
    ends = [each.percentiles(0.1, 99.9) for each in group]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    times = 1e-4 if meaning == SCALED else 1
    return rounded((min(low, 0) if "reflectance" in meaning else low) * times, high * times)


def looks_like(image: Image) -> str:
    """What the values seem to be: "HU", "dB", "reflectance", "reflectance x 10,000"; "" where nothing says it."""
    header = image.header
    low, high = image.percentiles(0.1, 99.9)
    if _is_ct(image):
        return "HU"
    if header.unit == "dB" or (image.is_map and "float" in header.dtype and -100 < low < 0 and high < 60):
        return "dB"
    if {*header.slope} == {1e-4} or header.unit == "reflectance":
        return "reflectance"
    is_optical = any(BANDS.fullmatch(name) for name in header.channels) or (image.is_map and len(header.channels) > 2)
    return SCALED if is_optical and header.dtype == "uint16" and 1000 < high < 30000 else ""


def _is_ct(image: Image) -> bool:
    if image.header.unit:
        return image.header.unit == "HU"
    (low, high), (bottom, _) = image.ends, image.percentiles(0.1, 99.9)
    return bool(image.header.orientation) and low >= -3100 and -1100 < bottom < -800 and 0 < high < 20000


def rounded(low: float, high: float) -> list[float]:
    """The ends, widened to round numbers of two digits."""
    if not math.isfinite(low + high) or low == high:
        low, high = (low, low + 1) if math.isfinite(low) else (0.0, 1.0)
    step = 10.0 ** math.floor(math.log10((high - low) / 10))
    ends = [math.floor(round(low / step, 6)) * step, math.ceil(round(high / step, 6)) * step]
    return [int(end) if float(f"{end:.6g}").is_integer() else float(f"{end:.6g}") for end in ends]


def _axes(domains: dict[str, dict[str, Any]], both: Mapping[str, Sequence[Image]]) -> list[str]:
    """Add what axes are where a description has to say it; what there is to decide."""
    axes = {role: dict(group[0].header.axes) for role, group in both.items()}
    hints: defaultdict[str, list[str]] = defaultdict(list)
    for role, other in (("a", "b"), ("b", "a")):
        for name, length in axes[role].items():
            is_stack = name == "z" and not axes[other] and length <= MOST_CHANNELS
            kind = "slices" if axes[other].get(name) == length or (name == "z" and not is_stack) else "channels"
            if length == 1 or (name, kind) == ("z", "slices"):
                continue
            domains[role].setdefault("axes", {})[name] = kind
            if kind == "channels":
                domains[role]["channels"] = length * _channels(domains[role])
            hints[f"an axis {name} of {length}: `axes: {{{name}: {kind}}}` is one reading of it"].append(role)
    others = "others are slices, channels, middle, max or a number: say which"
    return [f"{' and '.join(roles)}: {hint}; {others}" for hint, roles in hints.items()]


def _scales(image: Image) -> Iterator[str]:
    """Of what is translated into, whether one range can hold for all cases."""
    tops = [float(np.percentile(values.sample, 99)) for values in image.values.values() if values.sample.size]
    is_known = image.labels or image.header.unit or looks_like(image)
    if image.header.orientation and not is_known and tops and max(tops) > MOST_SCALE * min(tops):
        yield (
            f"b has another scale in each case (99 %: {min(tops):,.4g} to {max(tops):,.4g}): one range for all "
            "serves some of them badly; bring them to one scale first"
        )


def _count(domain: Mapping[str, Any]) -> int:
    """Channels of the tensor."""
    if domain.get("kind") == "labels":
        return len(domain["values"]) if len(domain["values"]) > 2 else 1
    return _channels(domain) if domain else 3


def _channels(domain: Mapping[str, Any]) -> int:
    said = domain.get("channels", 1)
    return said if isinstance(said, int) else len(said)
