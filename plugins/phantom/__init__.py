"""The embedded volumes: paired CT and MR of eight bodies that are drawn, so that the truth of every voxel is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import FileFormat, Header, Source
from i2i_forge.errors import DataError, disk_error

from .body import SIDE, SLICES, SUBJECTS, Array, subject
from .dicom import write_series

# Slices go up, rows to the back, columns to the left, 5, 2 and 2 millimetres apart; the first voxel is the origin.
SPACING = (5.0, 2.0, 2.0)
AFFINE = ((0.0, 0.0, 2.0, 0.0), (0.0, 2.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0))


class Phantom:
    """CT (HU) and two MR contrasts of eight bodies, 16 slices of 64x64 pixels each, with body masks and labels."""

    def sources(self, split: str) -> Sequence[Source]:
        """None yet. Raises DataError: its images are no RGB pictures."""
        raise DataError(
            "phantom: its images are HU and MR signals, no RGB pictures",
            fix="write them as files: forge data make phantom --out DIR --format nifti",
        )

    def write(
        self, out: Path, progress: Callable[[int, int], None] | None = None, *, format: FileFormat, ending: str
    ) -> None:
        """Write subject_0 to subject_7 into `out`, each a folder of mr, mr2, ct, mask and label.

        Args:
            progress: is told (images done, all images).
            format: of the files; of DICOM, each image is a folder of its slices.
            ending: of their names, ".nii.gz".

        Raises:
            DataError, BadImage: the format does not take volumes.
            UsageError, ResourceError: a folder or a file cannot be written.
        """
        done = 0
        for number in range(SUBJECTS):
            folder, images = out / f"subject_{number}", subject(number)
            try:
                folder.mkdir(parents=True)
                for name, volume in images.items():
                    if ending == ".dcm":
                        write_series(folder / name, volume, SPACING)
                    else:
                        format.write(folder / (name + ending), volume[:, np.newaxis], header(name, volume), None)
                    done += 1
                    if progress is not None:
                        progress(done, SUBJECTS * len(images))
            except OSError as error:
                raise disk_error(out, error) from error


def header(name: str, volume: Array) -> Header:
    """Of an image of a subject."""
    return Header(
        rows=SIDE, columns=SIDE, axes=(("z", SLICES),), dtype=volume.dtype.name, spacing=SPACING, affine=AFFINE,
        orientation="LPS", unit="HU" if name == "ct" else "",
    )  # fmt: skip


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("phantom", Phantom)


TRIED = ("runs", "examples", "deterministic", "goes_to_workers", "named", "modes")
CHECKS = {"phantom": {"skip": dict.fromkeys(TRIED, "it is written as files only")}}
