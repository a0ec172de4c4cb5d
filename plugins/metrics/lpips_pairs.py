"""Mean distances of an input's translations, of which little is remembered while they come.

Translations are rows, k,D float32, with d(a, b) = |a - b|^2. They resemble each other, so that an fp32 Gram matrix
fails: some columns at a time are brought to float64, and stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from i2i_forge.measure import Moments

COLUMNS = 8192


def moments(rows: Tensor) -> dict[str, Any]:
    """Count, mean, and sum of squared deviations of the rows: what `Moments.merge` takes in."""
    means, spread = [], torch.zeros((), dtype=torch.float64, device=rows.device)
    for part in columns(rows):
        means.append(part.mean(0))
        spread += (part - means[-1]).square().sum()
    return {"count": len(rows), "mean": torch.cat(means), "spread": spread}


def mean_of_all_pairs(seen: Moments) -> float:
    """The mean distance of the K(K-1)/2 pairs of the points seen: 2/(K-1) sum_i |a_i - mean|^2. K must be over 1."""
    assert seen.spread is not None and seen.count > 1
    return 2 * seen.spread.item() / (seen.count - 1)


def pair_matrix(rows: Tensor) -> Tensor:
    """The distances, K,K float64: |a_i|^2 + |a_j|^2 - 2 a_i.a_j of the centred rows."""
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in columns(rows):
        centred = part - part.mean(0)
        gram += centred @ centred.T
    squares = gram.diagonal()
    return (squares[:, None] + squares - 2 * gram).clamp(min=0)


def columns(rows: Tensor) -> Iterator[Tensor]:
    at_once = COLUMNS if rows.device.type == "cpu" else 128 * COLUMNS
    return (part.double() for part in rows.split(at_once, dim=1))


class Found(NamedTuple):
    """Of one input: how many translations and pairs, their mean distance (nan without a pair), all distances (K,K)."""

    draws: int
    pairs: int
    mean: float
    matrix: Tensor | None = None


class Group(Protocol):
    """What is remembered of one input while its translations come."""

    draws: int

    def add(self, rows: Tensor) -> None:
        """The next translations."""

    def found(self) -> Found:
        """Of those so far."""


class AllPairs:
    """All pairs; D numbers are remembered.

    Args:
        matrix: whether all distances are wanted; then K D numbers are.
    """

    def __init__(self, *, matrix: bool = False) -> None:
        self.draws, self.seen = 0, Moments()
        self.rows: list[Tensor] | None = [] if matrix else None

    def add(self, rows: Tensor) -> None:
        self.draws += len(rows)
        self.seen.merge(moments(rows))
        if self.rows is not None:
            self.rows.append(rows)

    def found(self) -> Found:
        mean = mean_of_all_pairs(self.seen) if self.draws > 1 else float("nan")
        matrix = pair_matrix(torch.cat(self.rows)).cpu() if self.rows is not None else None
        return Found(self.draws, self.draws * (self.draws - 1) // 2, mean, matrix)


class Neighbours:
    """Pairs of translations that follow each other; one is remembered.

    Args:
        step: 1: the pairs (0,1), (1,2), (2,3), ...; 2: the pairs (0,1), (2,3), ...
    """

    def __init__(self, step: int) -> None:
        self.step, self.draws, self.pairs, self.total = step, 0, 0, 0.0
        self.waiting: Tensor | None = None  # rows that are also in a pair with the next

    def add(self, rows: Tensor) -> None:
        self.draws += len(rows)
        if self.waiting is not None:
            rows = torch.cat([self.waiting, rows])
        pairs = len(rows[1 :: self.step])
        self.pairs += pairs
        differences = (part[1 :: self.step] - part[: -1 : self.step] for part in columns(rows))
        self.total += sum((difference.square().sum() for difference in differences), rows.new_zeros(())).item()
        self.waiting = rows[pairs * self.step :].clone()

    def found(self) -> Found:
        return Found(self.draws, self.pairs, self.total / self.pairs if self.pairs else float("nan"))


class Identical:
    """Translations that are all the same: they need no comparing."""

    def __init__(self) -> None:
        self.draws = 0

    def add(self, rows: Tensor) -> None:
        self.draws += len(rows)

    def found(self) -> Found:
        return Found(self.draws, 0, 0.0)


class PairsByInput:
    """An Accumulator of mean distances between an input's translations.

    A rank sees all translations of an input, in order, spread over any batches. What is remembered of an input is a
    few numbers once it has all of them.

    Args:
        group: makes what remembers one input's.
        draws: how many translations an input has.
    """

    def __init__(self, group: Callable[[], Group], draws: int) -> None:
        self.group, self.draws = group, draws
        self.open: dict[int, Group] = {}
        self.closed: dict[int, Found] = {}

    def add(self, inputs: list[int], draws: list[int], rows: Tensor) -> None:
        """Rows (B, D) of the given inputs' draws."""
        start = 0
        for number, run in groupby(inputs):
            end = start + len(list(run))
            assert number not in self.closed, f"input {number} has more than {self.draws} translations"
            group = self.open.get(number) or self.open.setdefault(number, self.group())
            group.add(rows[start:end])
            if group.draws == self.draws:
                self.closed[number] = self.open.pop(number).found()
            start = end

    def table(self) -> dict[int, Found]:
        """What was found, in the order of the inputs."""
        found = self.closed | {number: group.found() for number, group in self.open.items()}
        return {number: found[number] for number in sorted(found)}

    def state(self) -> dict[str, Any]:
        """What was found."""
        return {"found": self.table()}

    def merge(self, state: dict[str, Any]) -> None:
        """What was found of other inputs."""
        self.closed |= state["found"]
