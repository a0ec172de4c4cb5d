"""The trainer: one step that serves every method, and inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from i2i_forge import distributed
from i2i_forge.divergence import NotFiniteError
from i2i_forge.errors import RecipeError, UsageError, suggest
from i2i_forge.forward_pass import seeded
from i2i_forge.method import Method, Networks
from i2i_forge.optimizers import OptimizerEntry, RoleOptimizer
from i2i_forge.passes import Given, PhasePlan, StepPasses
from i2i_forge.precision import autocast, full
from i2i_forge.seeding import seed_of

__all__ = ["Networks", "Trainer"]


class Trainer(Method):
    """Base of all methods. A method sets the class attributes of `Method`; the step is the same for all."""

    def __init__(
        self,
        networks: Networks,
        phases: list[PhasePlan],
        optimizers: list[OptimizerEntry],
        states: Networks | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: str = "fp32",
    ) -> None:
        super().__init__(networks, optimizers, states, torch.device(device), dtype)
        self.phases, self.seed, self.precision = phases, seed, precision

    # ---- training ----------------------------------------------------------------------------------------------

    def step(self, batch: Mapping[str, Any], step: int, given: Given | None = None) -> dict[str, float]:
        """Every phase takes its turn once.

        Args:
            batch: domain -> images N,3,H,W in [-1, 1]; further streams are nested under their names.
            step: the number of steps done before this one; noise and schedules depend on it.
            given: phase -> route -> tensor -> value, in place of what would be drawn or computed.

        Returns:
            {"phase/term/route": unweighted loss}.

        Raises:
            DivergedError: a loss or gradient is not finite; that phase's update was not applied.
        """
        turns = [phase for phase in self.phases if phase.terms and step % phase.every == 0]
        passes = StepPasses(self, self.ready(batch), step, given or {}, phases=self.phases)
        self._set_mode(training=True)
        report: dict[str, Tensor] = {}
        try:
            for index, phase in enumerate(turns):
                later = turns[index + 1 :]
                report |= self._take_turn(phase, passes, step, later)
                if not any(phase.name in plan.reuse.values() for plan in later):
                    passes.clear(phase.name)
        finally:
            passes.clear()
        return dict(zip(report, torch.stack(list(report.values())).tolist(), strict=True)) if report else {}

    def _take_turn(self, phase: PhasePlan, passes: StepPasses, step: int, later: list[PhasePlan]) -> dict[str, Tensor]:
        with self.training_only(phase.trains):
            losses, total = self.losses(phase, passes, step)
            if not losses:
                return {}
            if not total.requires_grad:
                raise RecipeError(
                    f"phases.{phase.name}: none of its terms depends on what it trains ({', '.join(phase.trains)})",
                    fix="give it a term that does, or remove the phase",
                )
            for role in phase.trains:
                self._optimizer(role).clear()
            total.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad(), autocast(self.device, self.precision):
            passes.compute_for(later, phase.name)
        parameters = (p for role in phase.trains for p in self._optimizer(role).parameters)
        sick = distributed.average_gradients(parameters, total)
        norms = [] if sick else [n for e in self.optimizers if (n := e.clip_gradients(phase.trains)) is not None]
        if sick or not math.isfinite(float(sum(norms, total.detach()))):  # waits for the device
            raise self._not_finite(phase, losses, total, step)
        for role in phase.trains:
            self._optimizer(role).step(step)
            self._optimizer(role).clear()
        return losses

    def losses(self, phase: PhasePlan, passes: StepPasses, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """The unweighted losses of a phase by "phase/term/route", and their weighted sum. Networks run in autocast,
        losses in fp32."""
        losses: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device, dtype=self.dtype)
        with autocast(self.device, self.precision):
            for term in phase.terms:
                weight = term.weight.at(step)
                if weight == 0:
                    continue
                forward = passes.get(phase.name, term.route)
                values = [full(forward.argument(name)) for name in term.arguments]
                name = f"{phase.name}/{term.name}/{term.route}"
                key = seed_of(self.seed, "loss", step, name, distributed.rank())
                with autocast(self.device, "fp32"), seeded(key, self.device), forward.watched(f"{term.name} (loss)"):
                    loss = term.value(phase.name, values)
                losses[name] = loss.detach()
                total = total + weight * loss
        return losses, total

    def _not_finite(self, phase: PhasePlan, losses: Mapping[str, Tensor], total: Tensor, step: int) -> NotFiniteError:
        """What is not finite, on any rank."""
        values = {name: float(loss) for name, loss in losses.items()}
        found = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
        found = found or [
            f"the gradient of {role}" + (f".{domain}" if domain != "shared" else "")
            for role in phase.trains
            for domain, network in self.networks[role].items()
            if any(p.grad is not None and not torch.isfinite(p.grad).all() for p in network.parameters())
        ]
        if not found and not torch.isfinite(total):
            found = ["the weighted sum of the losses"]
        everyone = distributed.everyone((found, values))
        return NotFiniteError(step, phase.name, *zip(*everyone, strict=True))

    def _optimizer(self, role: str) -> RoleOptimizer:
        return next(entry.roles[role] for entry in self.optimizers if role in entry.roles)

    # ---- inference ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def infer(
        self,
        wanted: str,
        batch: Mapping[str, Tensor],
        route: str,
        *,
        generator: torch.Generator | None = None,
        **given: Tensor,
    ) -> Tensor:
        """A tensor of a route's pass in eval mode, e.g. `infer("translation", {"a": x}, "ab", random_style=s)`."""
        if route not in self.routes:
            raise UsageError(f"there is no route '{route}'", fix=suggest(route, self.routes))
        known = self.pass_along(route).tensors()
        for name in (wanted, *given):
            if name not in known:
                raise UsageError(f"{type(self).__name__} has no tensor '{name}'", fix=suggest(name, known))
        self._set_mode(training=False)
        given_here = {"translate": {route: given}}
        passes = StepPasses(self, self.ready(batch), 0, given_here, training=False, generator=generator)
        try:
            with autocast(self.device, self.precision):
                return full(getattr(passes.get("translate", route), wanted))  # type: ignore[no-any-return]
        finally:
            passes.clear()

    def translate(
        self, x: Tensor, route: str = "ab", *, generator: torch.Generator | None = None, **given: Tensor
    ) -> Tensor:
        """Translate images.

        Args:
            x: N,3,H,W in [-1, 1]. With N = 1 a given code may have K rows: one content, K translations.
            route: the direction.
            generator: where draws that are not given come from; without it they are the same at every call.
            given: tensors of the pass, by name: `random_style=s`.

        Returns:
            The translations, N,3,H,W (or K,3,H,W) in [-1, 1].
        """
        return self.infer("translation", {self.routes[route][0]: x} if route in self.routes else {}, route,
                          generator=generator, **given)  # fmt: skip

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
