"""The trainer: networks, phases, and one step that serves every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from i2i_forge import distributed
from i2i_forge.errors import DivergedError, RecipeError, UsageError, suggest
from i2i_forge.foreign import Format, part_of, read_foreign
from i2i_forge.forward_pass import ForwardPass, seeded
from i2i_forge.optimizers import OptimizerEntry, RoleOptimizer
from i2i_forge.passes import Given, PhasePlan, StepPasses
from i2i_forge.precision import autocast, full
from i2i_forge.registry import Registry
from i2i_forge.seeding import seed_of

Networks = dict[str, dict[str, nn.Module]]  # role -> domain, or "shared" -> network


class Trainer:
    """Base of all methods. A method sets the class attributes; the step is the same for all.

    Attributes:
        forward_pass: the method's tensors; a mapping by route where the directions differ.
        routes: route -> (domain we leave, domain we enter).
        roles: role -> the registry its network comes from.
        optional_roles: those that a recipe may leave out.
        latents: drawn tensor -> the tensor that encodes it from a reference image (None: nothing does); a latent
            counts on the routes whose pass has it; without any the method is deterministic.
        state: name -> what makes a module that is neither network nor tensor (an image pool), one for each route; its
            options are in the recipe's `state`, it is checkpointed.
    """

    forward_pass: ClassVar[type[ForwardPass] | Mapping[str, type[ForwardPass]]]
    routes: ClassVar[Mapping[str, tuple[str, str]]]
    roles: ClassVar[Mapping[str, str]]
    optional_roles: ClassVar[tuple[str, ...]] = ()
    latents: ClassVar[Mapping[str, str | None]] = {}
    state: ClassVar[Mapping[str, Callable[..., nn.Module]]] = {}

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
        self.networks, self.phases, self.optimizers = networks, phases, optimizers
        self.seed, self.device, self.dtype, self.precision = seed, torch.device(device), dtype, precision
        self.formats: Registry | None = None  # set by build_trainer
        self.states = states or {}  # name -> route -> module
        self._trainable = {  # without what a plugin froze for good
            role: [p for network in domains.values() for p in network.parameters() if p.requires_grad]
            for role, domains in networks.items()
        }

    @classmethod
    def pass_along(cls, route: str) -> type[ForwardPass]:
        """The tensors of a route."""
        return cls.forward_pass if isinstance(cls.forward_pass, type) else cls.forward_pass[route]

    @classmethod
    def latents_of(cls, route: str) -> dict[str, str | None]:
        """The latents of a route: drawn tensor -> the tensor that encodes it. Empty: one translation for an image."""
        known = cls.pass_along(route).tensors()
        return {drawn: encoded for drawn, encoded in cls.latents.items() if drawn in known}

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
        distributed.average_gradients(p for role in phase.trains for p in self._optimizer(role).parameters)
        norms = [norm for entry in self.optimizers if (norm := entry.clip_gradients(phase.trains)) is not None]
        self._stop_if_not_finite(phase, losses, total, norms, step)
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
                    loss = term.loss(*values)
                losses[name] = loss.detach()
                total = total + weight * loss
        return losses, total

    def _stop_if_not_finite(
        self, phase: PhasePlan, losses: dict[str, Tensor], total: Tensor, norms: list[Tensor], step: int
    ) -> None:
        if math.isfinite(float(sum(norms, total.detach()))):  # the phase's only wait for the device
            return
        bad = [f"{name} = {float(loss)}" for name, loss in losses.items() if not torch.isfinite(loss)]
        if not bad:
            bad = [
                f"the gradient of {role}" + (f".{domain}" if domain != "shared" else "")
                for role in phase.trains
                for domain, network in self.networks[role].items()
                if any(p.grad is not None and not torch.isfinite(p.grad).all() for p in network.parameters())
            ]
        raise DivergedError(
            f"not finite at step {step}: {', '.join(bad) or 'the weighted sum of the losses'}; "
            f"phase '{phase.name}' was not updated",
            fix="resume from the last checkpoint with a lower learning rate or weight; look at the images of this step",
        )

    @contextmanager
    def training_only(self, roles: tuple[str, ...]) -> Iterator[None]:
        """Only these roles' parameters require gradients inside; afterwards as before."""
        before = [(p, p.requires_grad) for parameters in self._trainable.values() for p in parameters]
        for role, parameters in self._trainable.items():
            for parameter in parameters:
                parameter.requires_grad_(role in roles)
        try:
            yield
        finally:
            for parameter, required in before:
                parameter.requires_grad_(required)

    def _optimizer(self, role: str) -> RoleOptimizer:
        return next(entry.roles[role] for entry in self.optimizers if role in entry.roles)

    def ready(self, value: Any) -> Any:
        """A batch or a value on the trainer's device; floating-point tensors in its dtype, labels as they are."""
        if isinstance(value, Mapping):
            return {name: self.ready(item) for name, item in value.items()}
        if not isinstance(value, Tensor):
            return value
        return value.to(self.device, self.dtype if value.is_floating_point() else value.dtype, non_blocking=True)

    def _set_mode(self, *, training: bool) -> None:
        for _, network in self.modules():
            network.train(training)

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

    # ---- state -------------------------------------------------------------------------------------------------

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every network and registered state, by its name in a checkpoint: "decoder.a", "decoder" when shared."""
        for role, domains in self.networks.items():
            for domain, network in domains.items():
                yield (role if domain == "shared" else f"{role}.{domain}"), network
        for name, routes in self.states.items():
            for route, module in routes.items():
                yield f"state.{name}.{route}", module

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers of every module."""
        return {f"{key}.{name}": value for key, m in self.modules() for name, value in m.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave. Raises KeyError or RuntimeError when names or shapes differ."""
        for key, module in self.modules():
            own = {name: state[f"{key}.{name}"] for name in module.state_dict()}
            module.load_state_dict(own)

    def load_foreign(self, files: Mapping[str, str | Path], format: str) -> None:
        """Take the weights of another program's checkpoint.

        Args:
            files: part -> file, e.g. {"gen": ..., "dis": ...}; parts may be left out.
            format: the layout, one of the catalog's formats.

        Raises:
            CheckpointError: a file cannot be read, or does not fit these networks.
        """
        reader = self.format(format)
        for part in files:
            if part not in reader.parts:
                raise UsageError(f"{format} has no part '{part}'", fix=suggest(part, reader.parts))
        contents = {part: read_foreign(file) for part, file in files.items()}
        for part, content in contents.items():
            part_of(content, files[part], format, self.formats or Registry("formats"))
        own = self.state_dict()
        self.load_state_dict(own | reader.load(contents, own))

    def format(self, name: str) -> Format:
        """A checkpoint layout by name."""
        if self.formats is None:
            raise UsageError("this trainer was made without a catalog", fix="use i2i_forge.build_trainer")
        return self.formats.get(name)()  # type: ignore[no-any-return]

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizers' memory, by "role|parameter|quantity"."""
        return {
            f"{role}|{name}": value
            for entry in self.optimizers
            for role, optimizer in entry.roles.items()
            for name, value in optimizer.state().items()
        }

    def load_optimizer_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `optimizer_state` gave."""
        for entry in self.optimizers:
            for role, optimizer in entry.roles.items():
                prefix = f"{role}|"
                optimizer.load({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
