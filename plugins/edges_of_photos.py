"""The dataset `edges_of_photos`: line drawings made of photographs on the fly, so one folder of photographs will do.

Canny, A Computational Approach to Edge Detection, 1986; the filters are kornia's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.data import ImageSource, Source, Transform, check_images, list_images, need_one_of, tolerant
from i2i_forge.errors import DataError

THRESHOLDS = {"canny": (0.2, 0.5), "sobel": (0.4, 2.0)}


class EdgesOfPhotos:
    """Line drawings (a, dark lines on white) of photographs (b).

    Training photographs are in the sub-folder train, test photographs in test. Without a test folder, the last 10 % of
    the photographs by name (rounded down, at least one) are for testing and the others for training. The lines are
    found in the photograph as it was flipped, resized and cropped.

    Args:
        root: the folder of photographs.
        photos: the folder of photographs, relative to `root`, if it is not `root` itself.
        test_photos: the folder of test photographs, relative to `root`.
        detector: "canny", lines one pixel wide; or "sobel", soft lines of the strength of the edge.
        low, high: thresholds of the gradient (a step from black to white has 4 for sobel, 2.5 for canny, which blurs).
            canny: lines where it exceeds `high`, followed while it exceeds `low`; by default 0.2 and 0.5.
            sobel: white below `low`, black above `high`; by default 0.4 and 2.
        paired: whether a drawing comes with its own photograph; otherwise each domain has its own order.
        on_bad: "error" refuses a folder with images that cannot be read; "skip" leaves these out, and takes the next
            image where that shows only when it is decoded.
        size, resize, flip, test_crop: see i2i_forge.data.Transform.

    Raises:
        DataError: the options do not make sense; in `sources`: folders or images cannot be used.
    """

    def __init__(
        self,
        root: str = "",
        photos: str = "",
        test_photos: str = "",
        detector: Literal["canny", "sobel"] = "canny",
        low: float | None = None,
        high: float | None = None,
        paired: bool = False,
        size: int | list[int] = 256,
        resize: int | None = None,
        flip: bool = True,
        test_crop: bool = True,
        on_bad: Literal["error", "skip"] = "error",
    ) -> None:
        if not root and not photos:
            raise DataError("the dataset has no folder", fix="set `root` to a folder of photographs")
        need_one_of("detector", detector, THRESHOLDS)
        need_one_of("on_bad", on_bad, ("error", "skip"))
        usual_low, usual_high = THRESHOLDS[detector]
        self.low = usual_low if low is None else low
        self.high = usual_high if high is None else high
        if not 0 < self.low < self.high or (detector == "canny" and self.low >= 1):
            limit = "0 < low < high, low < 1" if detector == "canny" else "0 < low < high"
            raise DataError(f"low: {self.low}, high: {self.high} are no thresholds of {detector}", fix=f"give {limit}")
        self.root, self.photos, self.test_photos = root, photos, test_photos
        self.detector, self.paired, self.on_bad = detector, paired, on_bad
        self.transform = Transform(size, resize, flip, test_crop)

    def sources(self, split: str) -> Sequence[Source]:
        """Sources of {"a": 3,H,W} and {"b": 3,H,W}, or one of both, in [-1, 1]."""
        paths = check_images(self._paths(split), self.on_bad).paths
        photos = tolerant(ImageSource("b", paths, self.transform), self.on_bad)
        drawings = EdgeSource(photos, self.detector, self.low, self.high, with_photo=self.paired)
        return [drawings] if self.paired else [drawings, photos]

    def _paths(self, split: str) -> Sequence[Path]:
        folder = Path(self.root, self.photos)
        train = folder / "train" if (folder / "train").is_dir() else folder
        test = Path(self.root, self.test_photos) if self.test_photos else folder / "test"
        if self.test_photos or test.is_dir():
            if split == "test":
                return list_images(test)
            paths = list_images(train)
            paths = paths.take(np.flatnonzero([not path.startswith(f"{test}/") for path in paths.texts()]))
        else:
            paths = list_images(train)
            held_out = max(1, len(paths) // 10)
            paths = paths[:-held_out] if split == "train" else paths[-held_out:]
        if not paths:
            raise DataError(f"{train}: no photograph is left for training beside those for testing", fix="add some")
        return paths


class EdgeSource:
    """The drawings of a source of photographs, and with `with_photo` the photographs too."""

    def __init__(self, photos: Source, detector: str, low: float, high: float, *, with_photo: bool) -> None:
        self.photos, self.detector, self.low, self.high, self.with_photo = photos, detector, low, high, with_photo

    def __len__(self) -> int:
        return len(self.photos)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """{"a": 3,H,W}, or {"a": 3,H,W, "b": 3,H,W}."""
        example = self.photos.example(index, random)
        lines = canny_lines if self.detector == "canny" else sobel_lines
        drawing = 1 - 2 * lines(example["b"] / 2 + 0.5, self.low, self.high).expand(3, -1, -1)
        return {"a": drawing} | (example if self.with_photo else {})

    def name(self, index: int) -> str:
        """The photograph."""
        return self.photos.name(index)


def canny_lines(image: Tensor, low: float, high: float) -> Tensor:
    """1,H,W of 0 and 1 (on a line) from 3,H,W in [0, 1]."""
    from kornia.filters import canny  # slow to import

    _, edges = canny(image[None], low, high, hysteresis=False)  # 0, 0.5 weak, 1 strong; see _follow
    strength = edges[0, 0].numpy()
    return torch.from_numpy(_follow(strength == 1, strength > 0))[None].float()


def _follow(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """The pixels of `weak` (which includes `strong`) that touch `strong` through others of `weak`: H,W.

    kornia's own loop gives the same, but visits every pixel in every round: 0.3 s for a 256x256 image.
    """
    width = weak.shape[1] + 2
    around = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    padded, frontier = np.pad(weak, 1).ravel(), np.flatnonzero(np.pad(strong, 1))
    open_ = padded.copy()
    open_[frontier] = False
    while frontier.size:
        near = (frontier[:, None] + around).ravel()
        frontier = np.unique(near[open_[near]])
        open_[frontier] = False
    return (padded & ~open_).reshape(-1, width)[1:-1, 1:-1]


def sobel_lines(image: Tensor, low: float, high: float) -> Tensor:
    """1,H,W in [0, 1] (1: on a line) from 3,H,W in [0, 1]."""
    from kornia.color import rgb_to_grayscale
    from kornia.filters import sobel  # slow to import

    gradient = sobel(rgb_to_grayscale(image[None]), normalized=False)[0]
    return ((gradient - low) / (high - low)).clamp(0, 1)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("edges_of_photos", EdgesOfPhotos)


CHECKS = {"edges_of_photos": {"skip": {"runs": "it needs folders of images"}}}
