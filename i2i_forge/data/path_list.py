"""Sequences of very many items, which are made when they are asked for: paths of files, and anything else (`Lazy`).

What files are called lies in one block of bytes, in place of an object for each.

A million paths cost some 30 MB, and processes that fork share them: a list of objects is copied page by page, because
whoever looks at an object counts its use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

CODING = ("utf-8", "surrogateescape")  # as Linux and Python name files
T = TypeVar("T")


class Lazy(Sequence[T]):
    """Items that a function makes, each anew.

    Args:
        count: how many there are.
        make: gives the item at a place from 0 to count - 1.
    """

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        places = range(self._count)
        return [self._make(place) for place in places[index]] if isinstance(index, slice) else self._make(places[index])


class Names:
    """The names of files, whole numbers -> text.

    Args:
        names: of the files, relative to what all of them share.

    Attributes:
        text: all names in UTF-8, one behind the other.
        ends: int64, where each ends in `text`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [name.encode(*CODING) for name in names]
        self.text = b"".join(encoded)
        self.ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    @classmethod
    def of_block(cls, text: bytes, ends: NDArray[np.int64]) -> Names:
        """Names that are a block already."""
        names = cls(())
        names.text, names.ends = text, ends
        return names

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, place: int) -> str:
        return self.text[self.ends[place - 1] if place else 0 : self.ends[place]].decode(*CODING)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and self.text == other.text and np.array_equal(self.ends, other.ends)


class Paths(Sequence[Path]):
    """Paths of files, as a list of them would be. A part of it (`paths[:10]`, `take`) shares its names.

    Args:
        names: of the files.
        prefix: what stands before each name: "" or a folder and a slash.
        origin: the folder that was listed, or the list file; None where what is known of the files is not kept.
        places: which of the names are ours, in our order; by default all.
    """

    def __init__(
        self, names: Names, prefix: str = "", origin: Path | None = None, places: NDArray[np.int64] | None = None
    ) -> None:
        self.names, self.prefix, self.origin = names, prefix, origin
        self.places: NDArray[np.int32] | None = None if places is None else places.astype(np.int32)

    def __len__(self) -> int:
        return len(self.names) if self.places is None else len(self.places)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Paths: ...
    def __getitem__(self, index: int | slice) -> Path | Paths:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        return Path(self.text(index))

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.texts())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(mine == their for mine, their in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        shown = [str(path) for path in self[:3]]
        return f"<{len(self)} paths: {', '.join(shown)}{', ...' if len(self) > 3 else ''}>"

    def text(self, index: int) -> str:
        """One path as text."""
        index = range(len(self))[index]
        return self.prefix + self.names[index if self.places is None else int(self.places[index])]

    def texts(self) -> Iterator[str]:
        """All paths as text: a Path object costs five times as much."""
        return map(self.text, range(len(self)))

    def take(self, indices: NDArray[Any]) -> Paths:
        """Some of the paths."""
        return Paths(self.names, self.prefix, self.origin, indices if self.places is None else self.places[indices])


class Pairs(Sequence[tuple[Path, Path]]):
    """Pairs of paths: the first of `a` with the first of `b`, and so on."""

    def __init__(self, a: Sequence[Path], b: Sequence[Path]) -> None:
        self.a, self.b = compact(a), compact(b)

    def __len__(self) -> int:
        return len(self.a)

    @overload
    def __getitem__(self, index: int) -> tuple[Path, Path]: ...
    @overload
    def __getitem__(self, index: slice) -> Pairs: ...
    def __getitem__(self, index: int | slice) -> tuple[Path, Path] | Pairs:
        return Pairs(self.a[index], self.b[index]) if isinstance(index, slice) else (self.a[index], self.b[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list

    def take(self, indices: NDArray[Any]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.a.take(indices), self.b.take(indices))

    def swapped(self) -> Pairs:
        """Each pair the other way round."""
        return Pairs(self.b, self.a)


def compact(paths: Sequence[Path]) -> Paths:
    """The same paths, held as Paths."""
    return paths if isinstance(paths, Paths) else Paths(Names(map(str, paths)))


def compact_pairs(pairs: Sequence[tuple[Path, Path]]) -> Pairs:
    """The same pairs, held as Pairs."""
    return pairs if isinstance(pairs, Pairs) else Pairs([a for a, _ in pairs], [b for _, b in pairs])
