"""One training step with an eye on every tensor, layer and gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from i2i_forge.engine.passes import PhasePlan, StepPasses
from i2i_forge.engine.trainer import Trainer
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
    seen = _Watch(trainer)
    with ExitStack() as hooks:
        hooks.enter_context(seen.losses())
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
            trainer.step(batch, step)
        except DivergedError as error:
            seen.result.problem = error.message
    for phase, squares in seen.squares.items():
        sums: dict[str, float] = {}
        for (changed, _), square in squares.items():
            sums[changed] = sums.get(changed, 0.0) + float(square)
        seen.result.gradients[phase] = {changed: math.sqrt(total) for changed, total in sums.items()}
    return seen.result


class _Watch:
    """Notes what the hooks tell."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.result = WatchedStep()
        self.squares: dict[str, dict[tuple[str, str], Tensor]] = {}  # phase -> (network, parameter)
        self.phase = ""

    @contextmanager
    def losses(self) -> Iterator[None]:
        """Inside, the trainer's losses are noted, and the tensors that they need."""
        compute = self.trainer.losses

        def noted(phase: PhasePlan, passes: StepPasses, step: int) -> tuple[dict[str, Tensor], Tensor]:
            self.phase = phase.name
            self._watch_tensors(passes)
            losses, total = compute(phase, passes, step)
            for name, loss in losses.items():
                before = self.result.losses.get(name, 0.0)
                self.result.losses[name] = before + float(loss) / self.trainer.parts
            return losses, total

        self.trainer.losses = noted  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.trainer.losses

    def _watch_tensors(self, passes: StepPasses) -> None:
        for phase in self.trainer.phases:
            for route in self.trainer.routes:
                forward = passes.get(phase.name, route)
                if not isinstance(forward._values, _Values):
                    forward._values = _Values(self, f"{phase.name}/{{}}/{route}")

    def tensor_made(self, name: str, value: Any) -> None:
        """A tensor of a pass is there."""
        if not self.result.tensor and not _finite(value):
            self.result.tensor = name

    def layer_ran(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        """A forward hook: the innermost layer is told first."""
        if not (self.result.layer or self.result.tensor) and not _finite(output):
            self.result.layer = name

    def gradient_arrived(self, network: str, path: str, parameter: Tensor) -> None:
        """A parameter has its gradient of this phase."""
        assert parameter.grad is not None
        square = parameter.grad.detach().double().square().sum()
        if not self.result.gradient and not _finite(square):
            self.result.gradient = f"{network}.{path}"
        self.squares.setdefault(self.phase, {})[network, path] = square  # of several parts the last has the sum


class _Values(dict[str, Any]):
    """The values of a pass, which are told of."""

    def __init__(self, watch: _Watch, name: str) -> None:
        super().__init__()
        self._watch, self._name = watch, name

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._watch.tensor_made(self._name.format(name), value)


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.detach().isfinite().all())
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or abs(value) < float("inf")
