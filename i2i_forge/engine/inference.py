"""Inference: tensors of a method's passes in eval mode, with what is given in place of draws."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from i2i_forge.engine.ema import Ema
from i2i_forge.engine.method import Method, Networks
from i2i_forge.engine.optimizers import OptimizerEntry
from i2i_forge.engine.passes import PhasePlan, StepPasses
from i2i_forge.errors import UsageError, suggest
from i2i_forge.system.precision import autocast, float32_by_default, full


class Inference(Method):
    """What a method computes of images when nothing is learnt; with averaged weights where the recipe asks for them.

    Attributes:
        phases: whose turns make a step.
        seed, precision: of the recipe.
        ema: averages of weights over the steps, or None.
    """

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
        self.ema: Ema | None = None  # set by build_trainer

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave; averages begin anew there. Raises KeyError or RuntimeError when names or
        shapes differ."""
        super().load_state_dict(state)
        if self.ema:
            self.ema.begin()

    @float32_by_default()
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
            with autocast(self.device, self.precision), self.ema.in_use() if self.ema else nullcontext():
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
