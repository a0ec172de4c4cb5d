"""The frames of a volume by their positions, and where the volume lies: DICOM PS3.3 C.7.6.2.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_forge.data import bad

from .dicom_dataset import dataset
from .dicom_picture import Frame
from .quiet import quietly

SAME = 1e-3  # cosines, and millimetres of a position: files round them
UNEVEN, NOTED = 0.25, 0.01  # of a step: positions that are rounded to 0.1 mm stay below the first
TELLING = (  # tags that tell apart what lies at one place
    "EchoTime", "EchoNumbers", "AcquisitionNumber", "TemporalPositionIdentifier", "DiffusionBValue", "TriggerTime",
    "ImageType", "ContentTime", "InstanceNumber",
)  # fmt: skip
APART = "put the files of one volume into a folder of their own"


def in_order(path: Path, frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """The frames by their positions along the normal of their planes, and what a user should know of these.

    Raises:
        BadImage: their positions, orientations or spacings are not those of one volume.
    """
    _check_planes(path, frames)
    normal = np.cross(frames[0].directions[:3], frames[0].directions[3:])
    placed = sorted(((float(normal @ frame.position), frame.number, at) for at, frame in enumerate(frames)))
    ordered = tuple(frames[at] for _, _, at in placed)
    if len(ordered) == 1:
        return ordered, ()
    places = np.array([place for place, _, _ in placed])
    return ordered, (*_gaps(path, places, ordered), *_tilt(ordered, normal))


def _check_planes(path: Path, frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames:
        if not frame.position:
            raise bad(path, f"{_of(frame)} does not say where it lies (ImagePositionPatient)", APART)
        for what, here, there in (("orientations", first.directions, frame.directions),
                                  ("pixel spacings", first.spacing, frame.spacing)):  # fmt: skip
            if len(here) != len(there) or np.abs(np.subtract(here, there)).max(initial=0) > SAME:
                cause = f"its slices have different {what}: {_listed(here)} in {_of(first)}, {_listed(there)} in "
                raise bad(path, cause + _of(frame), APART)


def _gaps(path: Path, places: NDArray[Any], frames: Sequence[Frame]) -> tuple[str, ...]:
    """A note if the distances of slices differ a little. Raises BadImage if these are no steps of one volume."""
    gaps = np.diff(places)
    if gaps.min() < SAME:
        at = int(gaps.argmin())
        cause = f"{_of(frames[at])} and {_of(frames[at + 1])} lie at one place, {places[at]:.6g} mm"
        raise bad(path, cause + _difference(frames[at], frames[at + 1]), APART)
    step = np.sort(gaps)[(len(gaps) - 1) // 2]
    at = int(np.abs(gaps / step - 1).argmax())
    uneven, said = abs(gaps[at] / step - 1), f"gaps of {gaps.min():.6g} to {gaps.max():.6g} mm"
    if uneven <= UNEVEN:
        return (f"its slices have {said}; their mean is taken",) if uneven > NOTED else ()
    count = round(float(gaps[at] / step)) - 1
    missing = f"{count} slice{'s'[: count - 1]} missing" if count > 0 else "slices are uneven"
    cause = f"{missing} between {places[at]:.1f} and {places[at + 1]:.1f} mm: {said}"
    raise bad(path, cause, "copy the missing files, or split the series where it is whole")


def _difference(one: Frame, other: Frame) -> str:
    """What tells two frames at one place apart."""
    if one.path == other.path:
        return f": frames {one.index + 1} and {other.index + 1}"
    with quietly(one.path):
        found = (dataset(one.path), dataset(other.path))
        values = {name: [each.get(name) for each in found] for name in TELLING}
    told = next(((name, here, there) for name, (here, there) in values.items() if here != there), None)
    return f"; {told[0]} differs: {told[1]} and {told[2]}" if told else ""


def _tilt(frames: Sequence[Frame], normal: NDArray[Any]) -> tuple[str, ...]:
    step = np.subtract(frames[-1].position, frames[0].position)
    cosine = abs(float(normal @ step)) / float(np.linalg.norm(normal) * np.linalg.norm(step))
    angle = float(np.degrees(np.arccos(min(cosine, 1.0))))
    return (f"slices are shifted by {angle:.1f} degrees (gantry tilt): no box",) if angle > 0.1 else ()


def affine_of(frames: Sequence[Frame], thickness: float) -> NDArray[Any]:
    """Takes (slice, row, column, 1) of ordered frames to LPS millimetres: 3,4. Lengths that no file says are 1."""
    first = frames[0]
    along, down = np.array(first.directions[:3]), np.array(first.directions[3:])
    rows, columns = first.spacing if len(first.spacing) == 2 else (1.0, 1.0)
    step = np.cross(along, down) * (thickness or 1.0)
    if len(frames) > 1:
        step = np.subtract(frames[-1].position, first.position) / (len(frames) - 1)
    return np.column_stack([step, down * rows, along * columns, first.position])


def _of(frame: Frame) -> str:
    return frame.path.name + (f" frame {frame.index + 1}" if frame.index else "")


def _listed(numbers: Sequence[float]) -> str:
    return "\\".join(f"{each:.4g}" for each in numbers)
