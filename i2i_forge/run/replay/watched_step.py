"""One training step with an eye on every tensor, layer and gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from i2i_forge.engine.trainer import Trainer
from i2i_forge.engine.watcher import Node, Watcher
from i2i_forge.errors import DivergedError


@dataclass
class WatchedStep:
    """What happened in a step.

    Attributes:
        losses: "phase/term/route" -> the unweighted loss.
        gradients: phase -> network -> the norm of its gradient, before clipping.
        problem: what the trainer says about values that are not finite; "" when all are.
        tensor: the first tensor of a pass that is not finite, as "phase/tensor/route".
        layer: the layer whose output it came from, as "decoder.b.convs.0"; "" when no network made it.
        gradient: the first parameter whose gradient was there and is not finite.
    """

    losses: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, dict[str, float]] = field(default_factory=dict)
    problem: str = ""
    tensor: str = ""
    layer: str = ""
    gradient: str = ""

    @property
    def where(self) -> str:
        """The earliest place that is known to be not finite; "" when everything is finite."""
        if self.tensor:
            origin = f"the output of {self.layer}" if self.layer else "no network made it"
            return f"the first tensor that is not finite is {self.tensor} ({origin})"
        if self.layer:
            return f"the first layer whose output is not finite is {self.layer}, which a loss runs"
        if bad := [name for name, loss in self.losses.items() if not _finite(loss)]:
            return f"every tensor is finite, the loss {bad[0]} is not"
        if self.gradient:
            return f"every loss is finite, the gradient of {self.gradient} is not"
        return "every loss is finite, their weighted sum or its gradient's norm is not" if self.problem else ""


def watched_step(trainer: Trainer, batch: Mapping[str, Any], step: int) -> WatchedStep:
    """Take a step as `trainer.step` does, watching; a step that is not finite is no error here."""
    seen = _Seen(trainer)
    with ExitStack() as hooks:
        for name, network in trainer.modules():
            if name.startswith("state."):
                continue
            for path, layer in network.named_modules():
                hook = partial(seen.layer_ran, f"{name}.{path}".rstrip("."))
                hooks.callback(layer.register_forward_hook(hook).remove)
            for path, parameter in network.named_parameters():
                if parameter.requires_grad:
                    arrived = partial(seen.gradient_arrived, name, path)
                    handle = parameter.register_post_accumulate_grad_hook(arrived)  # type: ignore[no-untyped-call]
                    hooks.callback(handle.remove)
        try:
            trainer.step(batch, step, watcher=seen)
        except DivergedError as error:
            seen.result.problem = error.message
    for (phase, changed, _), square in seen.squares.items():
        norms = seen.result.gradients.setdefault(phase, {})
        norms[changed] = norms.get(changed, 0.0) + square
    for norms in seen.result.gradients.values():
        norms.update({changed: math.sqrt(squares) for changed, squares in norms.items()})
    return seen.result


class _Seen(Watcher):
    """Notes what the step and the hooks tell."""

    def __init__(self, trainer: Trainer) -> None:
        self.result = WatchedStep()
        self.squares: dict[tuple[str, str, str], float] = {}  # of gradients, by phase, network and parameter
        self._parts, self._phase = trainer.parts, ""
        self._losses = {
            term.node(phase.name): f"{phase.name}/{term.name}/{term.route}"
            for phase in trainer.phases
            for term in phase.terms
        }

    def computed(self, node: Node, value: Any) -> None:
        """The first tensor that is not finite, and the losses."""
        if name := self._losses.get(node):
            self._phase = node[0]  # whose turn it is; backward follows
            self.result.losses[name] = self.result.losses.get(name, 0.0) + float(value.detach()) / self._parts
        elif not self.result.tensor and not _finite(value):
            phase, route, tensor = node
            self.result.tensor = f"{phase}/{tensor}/{route}"

    def layer_ran(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        """A forward hook: the innermost layer is told first."""
        if not (self.result.layer or self.result.tensor) and not _finite(output):
            self.result.layer = name

    def gradient_arrived(self, network: str, path: str, parameter: Tensor) -> None:
        """A parameter has its gradient of this phase."""
        assert parameter.grad is not None
        square = float(parameter.grad.detach().double().square().sum())
        if not self.result.gradient and not math.isfinite(square):
            self.result.gradient = f"{network}.{path}"
        self.squares[self._phase, network, path] = square  # of several parts the last has the sum


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or abs(value) < float("inf")
