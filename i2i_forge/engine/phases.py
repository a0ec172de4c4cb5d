"""A phase of a step: the roles it trains and the terms it minimizes, ready to be computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from i2i_forge.engine.watcher import Node
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.terms import Weight

OF_A_LOSS = "while computing the loss of"


@dataclass(frozen=True)
class BoundTerm:
    """A term on one route. An argument is a tensor of the pass or the name of a role."""

    name: str
    route: str
    weight: Weight
    loss: Callable[..., Tensor]
    arguments: tuple[str, ...]
    takes: frozenset[Node] = frozenset()  # what it needs of other phases' passes

    def node(self, phase: str) -> Node:
        """What its loss is called among the tensors of a phase."""
        return phase, self.route, f"{self.name} (loss)"

    def value(self, phase: str, given: Sequence[Any]) -> Tensor:
        """The loss of these arguments. Raises RecipeError when it is not one number."""
        try:
            loss = self.loss(*given)
        except Exception as error:
            error.add_note(f"{OF_A_LOSS} term '{self.name}' (phase {phase}, route {self.route})")
            raise
        if not isinstance(loss, Tensor) or loss.shape != ():
            shape = "x".join(map(str, loss.shape)) if isinstance(loss, Tensor) else type(loss).__name__
            raise RecipeError(
                f"phases.{phase}.minimize.{self.name}: the loss gives {shape} instead of a tensor with one number",
                fix="end the loss with `.mean()`; `forge plugin check` tries a loss by itself",
            )
        return loss


@dataclass(frozen=True)
class PhasePlan:
    """One player's turn."""

    name: str
    trains: tuple[str, ...]
    terms: tuple[BoundTerm, ...]
    every: int = 1
    stream: str = "main"
    reuse: Mapping[str, str] = field(default_factory=dict)
