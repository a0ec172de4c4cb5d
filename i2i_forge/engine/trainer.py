"""The trainer: one step that serves every method, and inference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from i2i_forge.engine.forward_pass import ForwardPass, seeded
from i2i_forge.engine.method import Method
from i2i_forge.engine.networks import remembering
from i2i_forge.engine.optimizers import RoleOptimizer
from i2i_forge.engine.passes import Given, StepPasses, split
from i2i_forge.engine.phases import PhasePlan
from i2i_forge.engine.report import StepReport, Turn, not_finite
from i2i_forge.engine.watcher import Watcher
from i2i_forge.errors import RecipeError, UsageError, suggest
from i2i_forge.system import distributed
from i2i_forge.system.precision import autocast, float32_by_default, full
from i2i_forge.system.seeding import seed_of

Losses = dict[str, Tensor]  # "phase/term/route", unweighted


class Trainer(Method):
    """Base of all methods, which set the class attributes of `Method`: how they learn, and what they then compute.

    Inference runs in eval mode, with averaged weights where the recipe asks for them.
    """

    @cached_property
    def sparing(self) -> bool:
        """Whether the parts keep no pass for a later turn: a network that remembers each pass would count it twice."""
        return self.parts > 1 and not any(map(remembering, (network for _, network in self.modules())))

    @cached_property
    def judged_late(self) -> bool:
        """Whether what is not finite is found when a step's report is read, and no phase waits for the device: on one
        GPU, where every optimizer can be told there to skip its update."""
        skipping = all(optimizer.skips for entry in self.optimizers for optimizer in entry.roles.values())
        return self.device.type == "cuda" and distributed.world_size() == 1 and skipping

    @cached_property
    def _unwell(self) -> Tensor:
        """On the device: 1 once something was not finite. Then nothing is updated until a report said so."""
        return torch.zeros((), device=self.device)

    def step(
        self, batch: Mapping[str, Any], step: int, given: Given | None = None, *, watcher: Watcher | None = None
    ) -> dict[str, float]:
        """Every phase takes its turn once: `begin` and `finish`, with their arguments and errors.

        Returns:
            {"phase/term/route": unweighted loss}.
        """
        return self.finish(self.begin(batch, step, given, watcher=watcher))

    @float32_by_default()
    def begin(
        self, batch: Mapping[str, Any], step: int, given: Given | None = None, *, watcher: Watcher | None = None
    ) -> StepReport:
        """Every phase takes its turn once; a GPU may still be at it afterwards.

        Args:
            batch: domain -> images N,3,H,W in [-1, 1]; further streams are nested under their names.
            step: the number of steps done before this one; noise and schedules depend on it.
            given: phase -> route -> tensor -> value, in place of what would be drawn or computed.
            watcher: is told of every tensor and every loss; changes nothing.

        Returns:
            What `finish` reads. The next step may begin before.

        Raises:
            DivergedError: as `finish`, where it is not `judged_late`.
            UsageError: the images cannot be taken in equal parts.
        """
        turns = [phase for phase in self.phases if phase.terms and step % phase.every == 0]
        batches, givens = split(self.ready(batch), self.parts), split(given or {}, self.parts)
        parts = [
            StepPasses(self, part, step, own, phases=self.phases, sparing=self.sparing, watcher=watcher or Watcher())
            for part, own in zip(batches, givens, strict=True)
        ]
        self._set_mode(training=True)
        try:
            taken = [self._take_turn(phase, parts, step, turns[index + 1 :]) for index, phase in enumerate(turns)]
        finally:
            for passes in parts:
                passes.clear()
        if self.ema:
            self.ema.update(step)
        return StepReport([turn for turn in taken if turn])

    def finish(self, report: StepReport) -> dict[str, float]:
        """A step's unweighted losses by "phase/term/route"; waits until the device has taken it.

        Raises:
            DivergedError: a loss or gradient is not finite; that phase's update and all later ones were not applied.
        """
        for turn, row in zip(report.turns, report.rows, strict=True):
            if not math.isfinite(row[-1]):
                self._unwell.zero_()
                raise not_finite(turn, row, self.networks)
        return dict(report)

    def _take_turn(self, phase: PhasePlan, parts: list[StepPasses], step: int, later: list[PhasePlan]) -> Turn | None:
        for role in phase.trains:
            self._optimizer(role).clear()
        found = []
        for number, passes in enumerate(parts):
            with distributed.part(number, len(parts)):
                found.append(self._backward(phase, passes, step))
                with torch.no_grad(), autocast(self.device, self.precision):
                    passes.finish(phase.name, later)
        losses, total = _mean([losses for losses, _ in found]), torch.stack([total for _, total in found]).mean(0)
        if not losses:
            return None
        parameters = (p for role in phase.trains for p in self._optimizer(role).parameters)
        sick = distributed.average_gradients(parameters, total)
        norms = {p: n for entry in self.optimizers for p, n in entry.clip_gradients(phase.trains).items()}
        turn = Turn.of(step, phase, losses, total, norms)
        if self.judged_late:
            self._unwell.logical_or_(turn.row[-1] * 0)  # which is NaN for what is not finite, and so true
        elif sick or not math.isfinite(float(turn.row[-1])):  # waits for the device
            raise not_finite(turn, turn.row.tolist(), self.networks)
        for role in phase.trains:
            self._optimizer(role).step(step, self._unwell if self.judged_late else None)
            self._optimizer(role).clear()
        return turn

    def _backward(self, phase: PhasePlan, passes: StepPasses, step: int) -> tuple[Losses, Tensor]:
        """The losses of one part of the images and their weighted sum, without graph; gradients are added."""
        with self.training_only(phase.trains):
            losses, total = self.losses(phase, passes, step)
            if losses and not total.requires_grad:
                raise RecipeError(
                    f"phases.{phase.name}: none of its terms depends on what it trains ({', '.join(phase.trains)})",
                    fix="give it a term that does, or remove the phase",
                )
            if losses:
                (total if self.parts == 1 else total / self.parts).backward()  # type: ignore[no-untyped-call]
        return losses, total.detach()

    def losses(self, phase: PhasePlan, passes: StepPasses, step: int) -> tuple[Losses, Tensor]:
        """The unweighted losses of a phase by "phase/term/route", and their weighted sum. Networks run in autocast,
        losses in fp32."""
        losses: Losses = {}
        total = torch.zeros((), device=self.device, dtype=self.dtype)
        with autocast(self.device, self.precision):
            for term in phase.terms:
                weight = term.weight.at(step)
                if weight == 0:
                    continue
                forward = passes.get(phase.name, term.route)
                watcher = forward._frame.watcher
                values = [full(forward._argument(name)) for name in term.arguments]
                name, node = f"{phase.name}/{term.name}/{term.route}", term.node(phase.name)
                key = seed_of(self.seed, "loss", step, name, distributed.share()[0])
                with autocast(self.device, "fp32"), seeded(key, self.device), watcher.computing(node):
                    loss = term.value(phase.name, values)
                watcher.computed(node, loss)
                losses[name] = loss.detach()
                total = total + weight * loss
        return losses, total

    def rates(self, step: int) -> dict[str, float]:
        """The learning rates of a step, by entry of the recipe's `optimizers`; of those that train something."""
        return {entry.name: next(iter(entry.roles.values())).rate(step) for entry in self.optimizers if entry.roles}

    def _optimizer(self, role: str) -> RoleOptimizer:
        return next(entry.roles[role] for entry in self.optimizers if role in entry.roles)

    @contextmanager
    def translating(
        self, batch: Mapping[str, Any], route: str, given: Mapping[str, Tensor], **options: Any
    ) -> Iterator[ForwardPass]:
        """A route's pass in eval mode, of a batch on the trainer's device; `options` are those of StepPasses."""
        self._set_mode(training=False)
        passes = StepPasses(self, batch, 0, {"translate": {route: given}}, training=False, **options)
        try:
            yield passes.get("translate", route)
        finally:
            passes.clear()

    @float32_by_default()
    @torch.no_grad()
    def infer(
        self, wanted: str, batch: Mapping[str, Tensor], route: str, *,
        generator: torch.Generator | None = None, **given: Tensor,
    ) -> Tensor:  # fmt: skip
        """A tensor of a route's pass in eval mode, e.g. `infer("translation", {"a": x}, "ab", random_style=s)`."""
        if route not in self.routes:
            raise UsageError(f"there is no route '{route}'", fix=suggest(route, self.routes))
        known = self.pass_along(route).tensors()
        for name in (wanted, *given):
            if name not in known:
                raise UsageError(f"{type(self).__name__} has no tensor '{name}'", fix=suggest(name, known))
        averaged = self.ema.in_use() if self.ema else nullcontext()
        made = self.translating(self.ready(batch), route, given, generator=generator)
        with autocast(self.device, self.precision), averaged, made as forward:
            return full(getattr(forward, wanted))  # type: ignore[no-any-return]

    def translate(
        self, x: Tensor, route: str = "ab", *, beside: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None, **given: Tensor,
    ) -> Tensor:  # fmt: skip
        """Translate images.

        Args:
            x: N,3,H,W in [-1, 1]. With N = 1 a given code may have K rows: one content, K translations.
            route: the direction.
            beside: the further images of the same examples that the translation reads, by name: masks N,1,H,W.
            generator: where draws that are not given come from; without it they are the same at every call.
            given: tensors of the pass, by name: `random_style=s`.

        Returns:
            The translations, N,3,H,W (or K,3,H,W) in [-1, 1].
        """
        images = {self.routes[route][0]: x} if route in self.routes else {}
        return self.infer("translation", {**(beside or {}), **images}, route, generator=generator, **given)

    def encode(self, x: Tensor, what: str, domain: str) -> Tensor:
        """A code of images, N,3,H,W in [-1, 1], that belong to a domain: `encode(x, "style", "b")`.

        It is computed along a route that leaves the domain, or that enters it if no such route has the tensor.
        """
        leaving = [route for route, (source, _) in self.routes.items() if source == domain]
        entering = [route for route, (_, target) in self.routes.items() if target == domain]
        for route in (*leaving, *entering):
            if what in self.pass_along(route).tensors():
                return self.infer(what, {domain: x}, route)
        if leaving:
            return self.infer(what, {domain: x}, leaving[0])  # which says that there is no such tensor
        raise UsageError(
            f"no route that passes domain '{domain}' has a tensor '{what}'",
            fix=f"the domains are {', '.join(sorted({d for pair in self.routes.values() for d in pair}))}",
        )


def _mean(parts: Sequence[Losses]) -> Losses:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: torch.stack([losses[name] for losses in parts]).mean(0) for name in parts[0]}
