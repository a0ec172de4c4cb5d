"""The passes of one step: a phase's forward passes along every route, and what phases take from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from i2i_forge.engine.forward_pass import ForwardPass, Frame
from i2i_forge.engine.phases import PhasePlan
from i2i_forge.errors import UsageError

if TYPE_CHECKING:
    from i2i_forge.engine.method import Method

Given = Mapping[str, Mapping[str, Mapping[str, Tensor]]]  # phase -> route -> tensor -> value


class StepPasses:
    """The passes of one step, made when first asked for: one for each phase and route.

    Args:
        method: whose networks run.
        batch: as for `Trainer.step`, on the method's device.
        step: the key of the randomness, with the phase's name.
        given: phase -> route -> tensor -> value.
        phases: the plans; a name that none of them has is a pass over the main stream without reuse.
        sparing: whether to keep no pass from one turn to a later one, where it can be made again.
        options: of `Frame`: training, generator, watcher, seed_layers.
    """

    def __init__(
        self, method: Method, batch: Mapping[str, Any], step: int, given: Given, *, phases: Sequence[PhasePlan] = (),
        sparing: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        self.method, self.batch, self.step, self.given, self._sparing = method, batch, step, given, sparing
        self._plans = {phase.name: phase for phase in phases}
        self._frame = partial(Frame, step=step, seed=method.seed, noise=method.noise, device=method.device, **options)
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
                forward._keep({tensor for _, of, tensor in taken if of == route})
        for name in list(self._passes) if self._sparing else [phase]:
            if name not in self._finished:
                self._forget(name)

    def clear(self) -> None:
        """Forget all passes."""
        for name in list(self._passes):
            self._forget(name)

    def _forget(self, phase: str) -> None:
        for forward in self._passes.pop(phase, {}).values():
            forward._clear()

    def _make(self, plan: PhasePlan) -> dict[str, ForwardPass]:
        method = self.method
        frame = self._frame(phase=plan.name, batch=self._stream(plan), networks=method.networks, state=method.states)
        made = {
            route: method.pass_along(route)(frame, route, domains, self._given(plan.name, route))
            for route, domains in method.routes.items()
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
        with self.method.training_only(self._plans[owner].trains):
            return getattr(self.get(owner, route), tensor)

    def _given(self, phase: str, route: str) -> dict[str, Tensor]:
        values = self.given.get(phase, {}).get(route, {})
        return {name: self._code(name, self.method.ready(value)) for name, value in values.items()}

    def _code(self, name: str, value: Tensor) -> Tensor:
        """A code may also be given as N,dim,1,1."""
        return value.flatten(1) if name in self.method.latents and value.shape[2:] == (1, 1) else value


def split(value: Any, parts: int) -> list[Any]:
    """A batch, or what is given in place of tensors, in equal parts along the first axis.

    Raises:
        UsageError: it does not divide.
    """
    if parts == 1:
        return [value]
    if isinstance(value, Mapping):
        split_values = {name: split(item, parts) for name, item in value.items()}
        return [{name: item[number] for name, item in split_values.items()} for number in range(parts)]
    size, rest = divmod(len(value), parts)
    if rest:
        raise UsageError(f"{len(value)} images cannot be taken in {parts} equal parts", fix="change run.micro_batch")
    return [value[number * size :][:size] for number in range(parts)]
