"""What a step computes: each term's tensors, their network calls and shapes, and what is never asked for.

A step is taken on tensors without data (device "meta"), so that a recipe of any size is traced in moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isfunction
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.misfits import channels_problem, rgb_counts
from i2i_forge.engine.passes import StepPasses
from i2i_forge.engine.phases import BoundTerm, PhasePlan
from i2i_forge.engine.trainer import Trainer
from i2i_forge.engine.watcher import Needs, Node
from i2i_forge.errors import RecipeError
from i2i_forge.nn.colour import WrongChannels, coloured
from i2i_forge.recipe.terms import parse_weight


@dataclass
class Trace:
    """What one step computes.

    Attributes:
        needs: tensor -> the tensors it asks for.
        calls: tensor -> the networks that it runs, with domain: "decoder.a".
        shapes: tensor -> its shape, as text.
        terms: "phase/term/route" -> the tensors it compares.
        pruned: phase -> tensors that no term needs.
        parameters: network -> how many numbers it holds.
        unrepeatable: network -> what of it is summed in no order on CUDA: the attribute `unrepeatable` of its layers.
        bytes_parameters, bytes_activations: of the weights, and of the largest phase's saved activations.
    """

    needs: dict[Node, list[Node]] = field(default_factory=dict)
    calls: dict[Node, list[str]] = field(default_factory=dict)
    shapes: dict[Node, str] = field(default_factory=dict)
    terms: dict[str, list[Node]] = field(default_factory=dict)
    pruned: dict[str, list[str]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    unrepeatable: dict[str, str] = field(default_factory=dict)
    bytes_parameters: int = 0
    bytes_activations: int = 0

    def closure(self, node: Node) -> list[Node]:
        """The tensor and all that it needs, deepest first."""
        found: list[Node] = []
        for needed in self.needs.get(node, []):
            found += [n for n in self.closure(needed) if n not in found]
        return [*found, node]

    def networks(self, node: Node) -> set[str]:
        """The networks, with domain, in a tensor's graph."""
        return {name for needed in self.closure(node) for name in self.calls.get(needed, [])}

    @property
    def network_calls(self) -> int:
        """How often a network runs forward in one step."""
        return sum(map(len, self.calls.values()))


class _Recorder(Needs):
    """Watches networks too."""

    def __init__(self, result: Trace) -> None:
        super().__init__()
        self.needs, self.calls = result.needs, result.calls
        self.network = ""  # the last that ran
        self.failed: list[Node] = []  # what could not be computed, the innermost first

    @contextmanager
    def computing(self, node: Node) -> Iterator[None]:
        with super().computing(node):
            try:
                yield
            except WrongChannels:
                self.failed.append(node)
                raise

    def called(self, network: str) -> None:
        self.network = network
        if self.stack:
            self.calls.setdefault(self.stack[-1], []).append(network)

    def convolving(self, network: str, layer: nn.Conv2d, arguments: Any) -> None:
        self.network = network
        if len(arguments[0].shape) == 4 and arguments[0].shape[1] != layer.in_channels:
            raise WrongChannels(layer.in_channels, arguments[0].shape[1])


class _Calls:
    """Tells `called` of the calls of a network, of any of its layers by itself, and of its methods that run layers.

    What these call meanwhile does not count. `hooks` takes away what is put on the network.
    """

    def __init__(self, network: nn.Module, called: Callable[[], None], hooks: ExitStack) -> None:
        self.called, self.depth, self.runs = called, 0, False
        for module in network.modules():
            hooks.callback(module.register_forward_pre_hook(self._enter).remove)
            hooks.callback(module.register_forward_hook(self._leave, always_call=True).remove)
        for name in set(dir(type(network))) - set(dir(nn.Module)) - vars(network).keys():
            if not name.startswith("_") and isfunction(getattr(type(network), name)):
                setattr(network, name, partial(self._method, getattr(network, name)))
                hooks.callback(delattr, network, name)

    def _enter(self, module: nn.Module, given: Any) -> None:
        if not self.depth:
            self.called()
        self.depth, self.runs = self.depth + 1, True

    def _leave(self, module: nn.Module, given: Any, output: Any) -> None:
        self.depth -= 1

    def _method(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.depth:
            return method(*args, **options)
        self.depth, self.runs = 1, False
        try:
            return method(*args, **options)
        finally:
            self.depth = 0
            if self.runs:
                self.called()


def trace(trainer: Trainer, batch: Mapping[str, Any]) -> Trace:
    """Trace one step of a trainer that lives on the device "meta", with every term, whatever its schedule.

    Args:
        batch: as for `Trainer.step`, on "meta".
    """
    result = Trace()
    recorder = _Recorder(result)
    phases = [_at_full_weight(phase) for phase in trainer.phases]
    passes = StepPasses(trainer, batch, 0, {}, phases=phases, watcher=recorder, seed_layers=False)
    with ExitStack() as hooks:
        for name, network in trainer.modules():
            if not name.startswith("state."):  # no network
                _Calls(network, partial(recorder.called, name), hooks)
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d):
                    hooks.callback(layer.register_forward_pre_hook(partial(recorder.convolving, name)).remove)
                if what := getattr(layer, "unrepeatable", ""):
                    result.unrepeatable[name] = what
            result.parameters[name] = sum(p.numel() for p in network.parameters())
            result.bytes_parameters += sum(p.nbytes for p in network.parameters())
        for phase in phases:
            saved, count = _counting_bytes(trainer)
            with trainer.training_only(phase.trains), torch.autograd.graph.saved_tensors_hooks(saved, lambda t: t):
                _without_values(trainer, phase, passes, recorder)
            result.bytes_activations = max(result.bytes_activations, sum(count.values()))
            _collect(result, phase, passes, trainer)
    passes.clear()
    return result


def _without_values(trainer: Trainer, phase: PhasePlan, passes: StepPasses, recorder: _Recorder) -> None:
    try:
        with coloured(rgb_counts(trainer)):
            trainer.losses(phase, passes, 0)
    except WrongChannels as error:
        raise channels_problem(error, recorder.network, recorder.failed, phase, trainer) from error
    except Exception as error:
        if "meta" in str(error):  # torch's words for what needs values: `.item()`, `.numpy()`, an `if`
            error.add_note("tensors have no values here (device meta): use no `if` on them, `.item()` or NumPy")
        raise


def _at_full_weight(phase: PhasePlan) -> PhasePlan:
    """The phase with constant weights, so that a term whose schedule begins at 0 is traced too."""
    return replace(phase, terms=tuple(replace(term, weight=parse_weight(1)) for term in phase.terms))


def _collect(result: Trace, phase: PhasePlan, passes: StepPasses, trainer: Trainer) -> None:
    wanted: set[str] = set()
    for term in phase.terms:
        known = trainer.pass_along(term.route).tensors()
        nodes = [(phase.name, term.route, name) for name in term.arguments if name in known]
        nodes += {term.node(phase.name)} & result.calls.keys()  # there if the loss runs a network itself
        result.terms[f"{phase.name}/{term.name}/{term.route}"] = nodes
        wanted |= {tensor for node in nodes for owner, _, tensor in result.closure(node) if owner == phase.name}
    for route in trainer.routes if phase.terms else ():
        for name, value in passes.get(phase.name, route)._values.items():
            result.shapes[phase.name, route, name] = _shape(value)
    offered = {name for route in trainer.routes for name in trainer.pass_along(route).tensors()}
    result.pruned[phase.name] = sorted(offered - wanted)


def with_takes(phases: list[PhasePlan], traced: Trace) -> list[PhasePlan]:
    """The phases, each of whose terms knows what it needs of other phases' passes."""
    return [
        replace(phase, terms=tuple(replace(term, takes=_taken(phase, term, traced)) for term in phase.terms))
        for phase in phases
    ]


def _taken(phase: PhasePlan, term: BoundTerm, traced: Trace) -> frozenset[Node]:
    asked = {n for node in traced.terms[f"{phase.name}/{term.name}/{term.route}"] for n in traced.closure(node)}
    own = {(route, tensor) for turn, route, tensor in asked if turn == phase.name and tensor in phase.reuse}
    return frozenset((phase.reuse[tensor], route, tensor) for route, tensor in own)


def refuse_stale_reuse(phases: list[PhasePlan], traced: Trace) -> None:
    """Refuse a reused tensor whose networks are updated before its owner's backward. Raises RecipeError."""
    order = [phase.name for phase in phases]
    for index, taker in enumerate(phases):
        for tensor, owner in taker.reuse.items():
            between = [phase for phase in phases[index : order.index(owner)] if phase.terms]
            stepped = {role for phase in between for role in phase.trains}
            nodes = [n for n in {*traced.shapes, *traced.needs, *traced.calls} if (n[0], n[2]) == (owner, tensor)]
            used = {name.partition(".")[0] for node in nodes for name in traced.networks(node)}
            if stale := sorted(stepped & used):
                raise RecipeError(
                    f"phases.{taker.name}.reuse.{tensor}: {', '.join(stale)} would be updated between computing "
                    f"'{tensor}' and the backward of phase '{owner}'",
                    fix=f"put '{owner}' before the phases that train {', '.join(stale)}, or do not reuse '{tensor}'",
                )


def _counting_bytes(trainer: Trainer) -> tuple[Callable[[Tensor], Tensor], dict[int, int]]:
    """A hook for saved tensors, and the bytes of each storage it has seen; weights and views of them do not count."""
    weights = {p.untyped_storage()._cdata for _, module in trainer.modules() for p in module.parameters()}
    seen: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in weights:
            seen[storage._cdata] = storage.nbytes()
        return saved

    return pack, seen


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return "x".join(map(str, value.shape)) or "scalar"
    return ", ".join(_shape(item) for item in value) if isinstance(value, list | tuple) else type(value).__name__
