"""What a step leaves to be read from the device: its losses, and what tells whether all was finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from i2i_forge.engine.divergence import NotFiniteError
from i2i_forge.engine.method import Networks, named
from i2i_forge.engine.phases import PhasePlan
from i2i_forge.system import distributed


@dataclass(frozen=True)
class Turn:
    """A phase's turn.

    Attributes:
        step: the number of steps done before this one.
        phase: whose turn it was.
        losses: "phase/term/route".
        trained: the parameters that got a gradient.
        row: the losses, their weighted sum, the norm of each gradient before clipping, and the sum of all these: where
            one of them is not finite, the sum is not either.
    """

    step: int
    phase: PhasePlan
    losses: tuple[str, ...]
    trained: tuple[nn.Parameter, ...]
    row: Tensor

    @classmethod
    def of(
        cls, step: int, phase: PhasePlan, losses: Mapping[str, Tensor], total: Tensor,
        norms: Mapping[nn.Parameter, Tensor],
    ) -> Turn:  # fmt: skip
        """A turn with these unweighted losses, their weighted sum, and norms of gradients."""
        row = torch.stack([*losses.values(), total, *norms.values()])
        return cls(step, phase, tuple(losses), tuple(norms), torch.cat([row, row.sum(0, keepdim=True)]))


class StepReport(Mapping[str, float]):
    """A step's unweighted losses by "phase/term/route", on their way from the device: whoever reads one waits.

    Attributes:
        turns: of its phases.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = turns
        rows = torch.cat([turn.row for turn in turns]) if turns else torch.empty(0)
        self._rows = rows.to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event() if rows.is_cuda else None  # type: ignore[no-untyped-call]
        if self._arrived:
            self._arrived.record(torch.cuda.current_stream(rows.device))

    @cached_property
    def rows(self) -> list[list[float]]:
        """The turns' rows, as numbers."""
        if self._arrived:
            self._arrived.synchronize()
        return [row.tolist() for row in torch.split(self._rows, [len(turn.row) for turn in self.turns])]

    def __getitem__(self, name: str) -> float:
        for turn, row in zip(self.turns, self.rows, strict=True):
            if name in turn.losses:
                return row[turn.losses.index(name)]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for turn in self.turns for name in turn.losses)

    def __len__(self) -> int:
        return sum(len(turn.losses) for turn in self.turns)


def not_finite(turn: Turn, row: Sequence[float], networks: Networks) -> NotFiniteError:
    """The error that says what of a turn's row is not finite, on any rank."""
    losses = dict(zip(turn.losses, row, strict=False))
    total, *norms = row[len(losses) : -1]
    found = [f"{name} = {value}" for name, value in losses.items() if not math.isfinite(value)]
    if not found and not math.isfinite(total):
        found = ["the weighted sum of the losses"]
    spoilt = {p for p, norm in zip(turn.trained, norms, strict=True) if not math.isfinite(norm)}
    found = found or [
        f"the gradient of {name}"
        for role in turn.phase.trains
        for name, network in named(role, networks[role])
        if not spoilt.isdisjoint(network.parameters())
    ]
    everyone = distributed.everyone((found, losses))
    return NotFiniteError(turn.step, turn.phase.name, *zip(*everyone, strict=True))
