"""What a dataset offers: sources, each an independent stream of examples.

An image whose header is good may turn out to be damaged when it is decoded. With `on_bad: skip` the next one of the
list is taken instead, which depends on the files alone, so a batch stays a function of (seed, step). That a disk or a
network fails is no damage of an image: it is always an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from i2i_forge.data.decode import Encoded, OnBad, decode
from i2i_forge.data.file_checks import BadImage
from i2i_forge.data.transforms import Transform
from i2i_forge.errors import DataError, suggest

log = logging.getLogger("i2i_forge")


class Source(Protocol):
    """Images that are drawn together: one order, one set of augmentation parameters."""

    def __len__(self) -> int:
        """How many examples there are."""

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """float32 tensors 3,H,W in [-1, 1] by domain name ("a", "b").

        Args:
            random: gives the augmentation draws of training; None means no randomness (test).

        Raises:
            DataError: the image cannot be read.
        """

    def name(self, index: int) -> str:
        """What error messages call the example: its file."""


@runtime_checkable
class OrderedSource(Source, Protocol):
    """A source that has an order of its own, because the examples of one file are best read together."""

    def order(self, random: torch.Generator) -> Sequence[int]:
        """All indices, each once, for one epoch: a function of the generator."""


class LabelledSource(Source, Protocol):
    """A source that also knows the mode of each example's image of the labelled domain."""

    def mode(self, index: int) -> int:
        """An index of the dataset's MODES."""


class Dataset(Protocol):
    """The images of a recipe.

    One whose images have known modes also has the attributes MODES, a tuple of their names, and LABELLED, the domain
    that has them ("b"); the sources that show this domain are LabelledSources.

    One that takes training images for "test" where there are no others has a method `without_tests`, which gives the
    domains of which this is so: ("a", "b").

    `forge check` and `forge train` say more of one that also has the attributes `paired`, whether the images of an
    example belong together, and `domains`, the names of what its examples hold. None of them has to be there.
    """

    def sources(self, split: str) -> Sequence[Source]:
        """The sources of "train" or "test".

        Raises:
            DataError: folders or lists are missing or empty, or images cannot be used.
        """


def without_tests(dataset: Dataset) -> tuple[str, ...]:
    """The domains whose test images are training images, because there are no others."""
    told: Callable[[], tuple[str, ...]] = getattr(dataset, "without_tests", tuple)
    return told()


def need_one_of(option: str, value: str, known: Collection[str]) -> None:
    """Raises DataError for a value of a dataset's option that is not among those there are."""
    if value not in known:
        raise DataError(f"{option}: there is no '{value}'", fix=suggest(value, known))


class _Files:
    """Sources of one file for each example."""

    def __init__(self, paths: Sequence[Path | Encoded], transform: Transform) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """The file."""
        return str(self.paths[index])


class ImageSource(_Files):
    """The images of one domain.

    Args:
        domain: "a" or "b".
        paths: the images, checked already; a sequence is enough that makes each when it is asked for.
    """

    def __init__(self, domain: str, paths: Sequence[Path | Encoded], transform: Transform) -> None:
        super().__init__(paths, transform)
        self.domain = domain

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """{domain: 3,H,W}."""
        return {self.domain: self.transform(decode(self.paths[index]), self.transform.draw(random))}


class PairSource:
    """Pairs in two files of the same size; both get the same flip and crop.

    Args:
        pairs: the files of a and b.
    """

    def __init__(self, pairs: Sequence[tuple[Path | Encoded, Path | Encoded]], transform: Transform) -> None:
        self.pairs, self.transform = pairs, transform

    def __len__(self) -> int:
        return len(self.pairs)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """{"a": 3,H,W, "b": 3,H,W}."""
        draw = self.transform.draw(random)
        a, b = (decode(image) for image in self.pairs[index])
        if a.size != b.size:
            sizes = " and ".join(f"{width}x{height}" for width, height in (a.size, b.size))
            raise DataError(f"{self.name(index)} are {sizes}", fix="make both images of a pair the same size")
        return {"a": self.transform(a, draw), "b": self.transform(b, draw)}

    def name(self, index: int) -> str:
        """Both files."""
        a, b = self.pairs[index]
        return f"{a} and {b}"


class SideBySideSource(_Files):
    """Pairs in one file, left and right; both halves get the same flip and crop.

    Args:
        paths: files of even width.
        domains: those of the left and the right half.
    """

    def __init__(
        self, paths: Sequence[Path | Encoded], transform: Transform, domains: tuple[str, str] = ("a", "b")
    ) -> None:
        super().__init__(paths, transform)
        self.domains = domains

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """{"a": 3,H,W, "b": 3,H,W}."""
        draw = self.transform.draw(random)
        halves = _halves(self.paths[index])
        return {name: self.transform(half, draw) for name, half in zip(self.domains, halves, strict=True)}


class HalfSource(_Files):
    """One domain of side-by-side pairs, in an order of its own: unpaired data made of paired files.

    Args:
        domain: "a" or "b".
        paths: files of even width.
        half: 0 for the left one, 1 for the right one.
    """

    def __init__(self, domain: str, paths: Sequence[Path | Encoded], transform: Transform, half: int) -> None:
        super().__init__(paths, transform)
        self.domain, self.half = domain, half

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """{domain: 3,H,W}."""
        return {self.domain: self.transform(_halves(self.paths[index])[self.half], self.transform.draw(random))}

    def name(self, index: int) -> str:
        """The file and the half."""
        return f"{self.paths[index]} ({('left', 'right')[self.half]} half)"


def _halves(path: Path | Encoded) -> tuple[Image.Image, Image.Image]:
    image = decode(path)
    if image.width % 2:
        cause = f"{path} is {image.width}x{image.height}: an odd width has no halves"
        raise DataError(cause, fix="put two images of the same width side by side")
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height)), image.crop((middle, 0, 2 * middle, image.height))


def tolerant(source: Source, on_bad: OnBad) -> Source:
    """The source as it is, or with what turns out to be bad replaced."""
    return Replacing(source) if on_bad == "skip" else source


class Replacing:
    """A source whose examples that cannot be decoded are replaced, each by the next that can."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.source)

    def example(self, index: int, random: torch.Generator | None) -> dict[str, Tensor]:
        """As the source's; raises BadImage when no example at all can be decoded."""
        for place in self._places(index):
            try:
                return self.source.example(place, random)
            except BadImage as error:
                self._note(place, error)
                last = error
        raise last

    def name(self, index: int) -> str:
        """The file that is read instead of this one, if it is known by now that it is replaced."""
        return self.source.name(next((place for place in self._places(index) if place not in self._bad), index))

    def __getattr__(self, name: str) -> Any:
        """What a source may offer beside: of the example that was asked for."""
        if name in ("group", "place", "preview"):
            return getattr(self.source, name)
        raise AttributeError(name)

    def _places(self, index: int) -> Iterator[int]:
        return ((index + offset) % len(self) for offset in range(len(self)))

    def _note(self, place: int, error: BadImage) -> None:
        if place not in self._bad:
            self._bad.add(place)
            log.warning("the next image is taken instead (%d so far): %s", len(self._bad), error.message)
