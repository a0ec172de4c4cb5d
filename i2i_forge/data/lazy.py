"""Sequences whose items are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Lazy(Sequence[T]):
    """Subclasses say how many there are (`__len__`) and make one (`at`)."""

    @abstractmethod
    def at(self, place: int) -> T:
        """The item at a place from 0 to the length - 1."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        places = range(len(self))
        return [self.at(place) for place in places[index]] if isinstance(index, slice) else self.at(places[index])
