"""What metrics remember of the images they have seen. All of them merge, so that ranks can share the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i_forge.system.seeding import seed_of


class Accumulator(Protocol):
    """A mergeable memory: what one rank saw and what another saw give what one rank would have seen of both."""

    def state(self) -> dict[str, Any]:
        """Everything it remembers, tensors on the CPU."""

    def merge(self, state: dict[str, Any]) -> None:
        """Take in what another of its kind remembers."""


class ByInput:
    """A row of sums for each input, float64; images of an input may come in any number of pieces."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.counts: dict[int, int] = {}

    def add(self, inputs: list[int], rows: Tensor) -> None:
        """Add to the row of inputs[i] the values rows[i], (B, M)."""
        for number, row in zip(inputs, rows.detach().double().cpu(), strict=True):
            self.sums[number] = self.sums[number] + row if number in self.sums else row.clone()
            self.counts[number] = self.counts.get(number, 0) + 1

    def table(self) -> tuple[list[int], Tensor, Tensor]:
        """The inputs in order, how many images each has (N), and the sums (N, M)."""
        order = sorted(self.sums)
        return order, torch.tensor([self.counts[n] for n in order]), torch.stack([self.sums[n] for n in order])

    def state(self) -> dict[str, Any]:
        """Rows and counts."""
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def merge(self, state: dict[str, Any]) -> None:
        """The rows of another; one input's images may be spread over both."""
        for number, row in state["sums"].items():
            self.sums[number] = self.sums[number] + row if number in self.sums else row
            self.counts[number] = self.counts.get(number, 0) + state["counts"][number]


class ByGroup:
    """Sums for each image, float64, by the group of its input.

    They are added up in the order of inputs and draws once all are there, so that neither batches, nor ranks, nor the
    order in which images come change one bit.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], tuple[str, Tensor]] = {}  # (input, draw) -> group, its sums

    def add(self, inputs: list[int], draws: list[int], groups: list[str], rows: Sequence[Tensor]) -> None:
        """The sums of the given inputs' draws, of one shape."""
        for number, draw, group, row in zip(inputs, draws, groups, rows, strict=True):
            self.rows[number, draw] = group, row.detach().double().cpu()

    def table(self) -> tuple[list[str], Tensor]:
        """The groups in the order of their first inputs, and the sums of each, (G, ...)."""
        sums: dict[str, Tensor] = {}
        for key in sorted(self.rows):
            group, row = self.rows[key]
            sums[group] = sums[group] + row if group in sums else row
        return list(sums), torch.stack(list(sums.values()))

    def state(self) -> dict[str, Any]:
        """All sums."""
        return {"rows": dict(self.rows)}

    def merge(self, state: dict[str, Any]) -> None:
        """Those of other images."""
        self.rows |= state["rows"]


class Moments:
    """Count, mean and sum of squared deviations of vectors, float64 (Chan, Golub, LeVeque 1983).

    Args:
        covariance: keep the D,D matrix of products of deviations; otherwise only their squares' total, a number.
    """

    def __init__(self, *, covariance: bool = False) -> None:
        self.covariance = covariance
        self.count = 0
        self.mean: Tensor | None = None
        self.spread: Tensor | None = None  # sum of squared deviations: () or (D, D)

    def add(self, vectors: Tensor) -> None:
        """Vectors (B, D); they stay on their device."""
        if not len(vectors):
            return
        vectors = vectors.detach().double()
        mean = vectors.mean(0)
        deviations = vectors - mean
        self._join(len(vectors), mean, deviations.T @ deviations if self.covariance else deviations.square().sum())

    def state(self) -> dict[str, Any]:
        """Count, mean, spread."""
        mean, spread = (None if t is None else t.cpu() for t in (self.mean, self.spread))
        return {"count": self.count, "mean": mean, "spread": spread}

    def merge(self, state: dict[str, Any]) -> None:
        """The vectors that another saw."""
        if state["count"]:
            self._join(state["count"], state["mean"], state["spread"])

    def _join(self, count: int, mean: Tensor, spread: Tensor) -> None:
        if self.mean is None or self.spread is None:
            self.count, self.mean, self.spread = count, mean, spread
            return
        mean, spread = mean.to(self.mean.device), spread.to(self.mean.device)
        gap, total = mean - self.mean, self.count + count
        between = torch.outer(gap, gap) if self.covariance else gap.square().sum()
        self.spread = self.spread + spread + between * (self.count * count / total)
        self.mean = self.mean + gap * (count / total)
        self.count = total


class Sample:
    """At most `limit` of the rows seen, chosen by a hash of what they are called: the same ones whatever the order.

    Memory does not grow with the number of images; below the limit nothing is left out.

    Args:
        limit: how many rows are kept.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.limit = limit
        self.rows: dict[tuple[int, int], Tensor] = {}  # (input, draw) -> D
        self.seen = 0

    def add(self, inputs: list[int], draws: list[int], rows: Tensor) -> None:
        """Rows (B, D) of the given inputs' draws."""
        self.seen += len(inputs)
        for number, draw, row in zip(inputs, draws, rows.detach().float().cpu(), strict=True):
            self.rows[number, draw] = row.clone()
        if len(self.rows) > 2 * self.limit:
            self._prune()

    def table(self) -> tuple[list[tuple[int, int]], Tensor]:
        """The kept (input, draw) in order, and their rows (n, D), float32."""
        self._prune()
        order = sorted(self.rows)
        return order, torch.stack([self.rows[key] for key in order]) if order else torch.zeros(0, 0)

    def state(self) -> dict[str, Any]:
        """The kept rows."""
        self._prune()
        return {"rows": dict(self.rows), "seen": self.seen}

    def merge(self, state: dict[str, Any]) -> None:
        """The rows that another kept."""
        self.rows |= state["rows"]
        self.seen += state["seen"]
        self._prune()

    def _prune(self) -> None:
        if len(self.rows) > self.limit:
            kept = sorted(self.rows, key=lambda key: seed_of("sample", *key))[: self.limit]
            self.rows = {key: self.rows[key] for key in kept}
