"""The embedded volumes: paired CT and MR of eight bodies that are drawn, so that the truth of every voxel is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import Domains, FileFormat, case_transform, need_one_of
from i2i_forge.errors import DataError, disk_error, suggest

from .body import SPACING, SUBJECTS, TRAINING, subject
from .dicom import write_series
from .sources import Slices, header

Task = Literal["ct_from_mr", "ct_from_mr_mr2", "mr2_from_mr", "labels"]
IMAGES = {  # task -> the images of a and of b
    "ct_from_mr": (("mr",), ("ct",)),
    "ct_from_mr_mr2": (("mr", "mr2"), ("ct",)),
    "mr2_from_mr": (("mr",), ("mr2",)),
    "labels": (("label",), ("ct",)),
}


class Phantom:
    """CT (HU) and two MR contrasts of eight bodies, 16 slices of 64x64 pixels each, with body masks and labels.

    Pairs of slices; subjects 0 to 5 train, 6 and 7 test. A further image `mask` is 1 in the body, if it is described.

    Args:
        task: what a and b are: CT from MR, CT from both MR contrasts (stacked as channels), one MR contrast from the
            other, or CT from labels; 0 to 6 are air, fat, muscle, lung, bone, fluid and lesion.
        size: of the crop; see i2i_forge.data.Transform.
        domains: what the images are.

    Raises:
        DataError: there is no such task.
    """

    paired = True

    def __init__(self, task: Task = "ct_from_mr", size: int | list[int] = 64, domains: Domains | None = None) -> None:
        need_one_of("task", task, get_args(Task))
        self.described = domains or Domains()
        images = dict(zip("ab", IMAGES[task], strict=True))
        self.images = images | ({"mask": ("mask",)} if "mask" in self.described else {})
        self.transform = case_transform(
            self.described, self.images, size=size, resize=None, flip=False, test_crop=False, augment=None
        )

    @property
    def domains(self) -> list[str]:
        """See i2i_forge.data.Dataset."""
        return list(self.images)

    def sources(self, split: str) -> Sequence[Slices]:
        """One source of all slices of the split's subjects.

        Raises:
            DataError: there is no such split, or a or b is not described.
        """
        if split not in ("train", "test"):
            raise DataError(f"phantom: there is no split {split!r}", fix=suggest(split, ("train", "test")))
        for name in ("a", "b"):
            if self.described[name].is_rgb8:
                raise DataError(
                    f"phantom: domain {name} is measured, and the recipe describes 8-bit RGB",
                    fix=f"say what its numbers are: domains: {{{name}: {{range: [-1024, 3071], unit: HU}}}}",
                )
        chosen = [number for number in range(SUBJECTS) if (number in TRAINING) == (split == "train")]
        return [Slices(chosen, self.images, self.described, self.transform)]

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


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("phantom", Phantom)


CHECKS = {"phantom": {"skip": {"runs": "it needs a description of its domains"}}}
