"""The passes of one step: a phase's forward passes along every route, and what phases take from each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from i2i_forge.engine.forward_pass import ForwardPass, Frame, Watcher
from i2i_forge.errors import RecipeError, UsageError

if TYPE_CHECKING:
    import torch

    from i2i_forge.engine.inference import Inference
    from i2i_forge.recipe.terms import Weight

Node = tuple[str, str, str]  # phase, route, tensor
Given = Mapping[str, Mapping[str, Mapping[str, Tensor]]]  # phase -> route -> tensor -> value


@dataclass(frozen=True)
class BoundTerm:
    """A term on one route, ready to be computed. An argument is a tensor of the pass or the name of a role."""

    name: str
    route: str
    weight: Weight
    loss: Callable[..., Tensor]
    arguments: tuple[str, ...]
    takes: frozenset[Node] = frozenset()  # what it needs of other phases' passes

    def value(self, phase: str, given: Sequence[Any]) -> Tensor:
        """The loss of these arguments. Raises RecipeError when it is not one number."""
        try:
            loss = self.loss(*given)
        except Exception as error:
            error.add_note(f"while computing the loss of term '{self.name}' (phase {phase}, route {self.route})")
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
    """One player's turn, ready to be taken."""

    name: str
    trains: tuple[str, ...]
    terms: tuple[BoundTerm, ...]
    every: int = 1
    stream: str = "main"
    reuse: Mapping[str, str] = field(default_factory=dict)


class StepPasses:
    """The passes of one step, made when first asked for: one for each phase and route.

    Args:
        trainer: whose networks run.
        batch: as for `Trainer.step`, on the trainer's device.
        step: the key of the randomness, with the phase's name.
        given: phase -> route -> tensor -> value.
        phases: the plans; a name that none of them has is a pass over the main stream without reuse.
        training: False in inference.
        generator: inference: draws come from here.
        watcher: is told of every tensor.
        sparing: whether to keep no pass from one turn to a later one, where it can be made again.
    """

    def __init__(
        self,
        trainer: Inference,
        batch: Mapping[str, Any],
        step: int,
        given: Given,
        *,
        phases: Sequence[PhasePlan] = (),
        training: bool = True,
        generator: torch.Generator | None = None,
        watcher: Watcher | None = None,
        sparing: bool = False,
    ) -> None:
        self.trainer, self.batch, self.step, self.given = trainer, batch, step, given
        self.training, self.generator, self.watcher = training, generator, watcher
        self._plans = {phase.name: phase for phase in phases}
        self._sparing = sparing
        self._passes: dict[str, dict[str, ForwardPass]] = {}
        self._finished: set[str] = set()  # phases from whose passes later ones still take something

    def get(self, phase: str, route: str) -> ForwardPass:
        """The pass of a phase along a route."""
        if phase not in self._passes:
            self._passes[phase] = self._make(self._plans.get(phase) or PhasePlan(phase, (), ()))
        return self._passes[phase][route]

    def finish(self, phase: str, later: Sequence[PhasePlan]) -> None:
        """A phase had its turn: compute what later ones take from its pass, while its networks are still those of that
        pass, and forget the rest. If it is to spare memory, passes that are needed later are made again then."""
        terms = [term for plan in later for term in plan.terms if term.weight.at(self.step) != 0]
        taken = sorted(node for term in terms for node in term.takes if node[0] == phase)
        for _, route, tensor in taken:
            getattr(self.get(phase, route), tensor)
        if taken:
            self._finished.add(phase)
            for route, forward in self._passes[phase].items():
                forward.keep({tensor for _, of, tensor in taken if of == route})
        for name in list(self._passes) if self._sparing else [phase]:
            if name not in self._finished:
                self._forget(name)

    def clear(self) -> None:
        """Forget all passes."""
        for name in list(self._passes):
            self._forget(name)

    def _forget(self, phase: str) -> None:
        for forward in self._passes.pop(phase, {}).values():
            forward.clear()

    def _make(self, plan: PhasePlan) -> dict[str, ForwardPass]:
        trainer = self.trainer
        frame = Frame(
            plan.name, self.step, trainer.seed, trainer.device, self._stream(plan),
            trainer.networks, trainer.states, self.training, self.generator, self.watcher,
        )  # fmt: skip
        made = {
            route: trainer.pass_along(route)(frame, route, domains, self._given(plan.name, route))
            for route, domains in trainer.routes.items()
        }
        for route, forward in made.items():
            forward.reverse = next((f for f in made.values() if f.domains == forward.domains[::-1]), None)
            for tensor, owner in plan.reuse.items():
                forward._reused[tensor] = partial(self._from_owner, tensor, owner, route)
        return made

    def _stream(self, plan: PhasePlan) -> Mapping[str, Tensor]:
        if plan.stream == "main":
            return {name: value for name, value in self.batch.items() if isinstance(value, Tensor)}
        stream = self.batch.get(plan.stream)
        if not isinstance(stream, Mapping):
            raise UsageError(
                f"phase '{plan.name}' reads the stream '{plan.stream}', and the batch has none of that name",
                fix=f'nest it in the batch: {{"a": ..., "{plan.stream}": {{"a": ...}}}}',
            )
        return stream

    def _from_owner(self, tensor: str, owner: str, route: str) -> Any:
        """A tensor of another phase's pass, computed as that phase would: its trained networks, its noise."""
        with self.trainer.training_only(self._plans[owner].trains):
            return getattr(self.get(owner, route), tensor)

    def _given(self, phase: str, route: str) -> dict[str, Tensor]:
        values = self.given.get(phase, {}).get(route, {})
        return {name: self._code(name, self.trainer.ready(value)) for name, value in values.items()}

    def _code(self, name: str, value: Tensor) -> Tensor:
        """A code may also be given as N,dim,1,1."""
        return value.flatten(1) if name in self.trainer.latents and value.shape[2:] == (1, 1) else value
