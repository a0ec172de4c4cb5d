"""A method: what it declares, the networks it is made of, and their state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.engine.ema import Ema
from i2i_forge.engine.forward_pass import ForwardPass
from i2i_forge.engine.networks import requiring
from i2i_forge.engine.optimizers import OptimizerEntry
from i2i_forge.engine.phases import PhasePlan

Networks = dict[str, dict[str, nn.Module]]  # role -> domain, or "shared" -> network


class Method:
    """Networks by role and domain, and what a step makes of them; Inference and Trainer add what is done.

    Attributes:
        forward_pass: the method's tensors; a mapping by route where the directions differ.
        routes: route -> (domain we leave, domain we enter).
        roles: role -> the registry its network comes from.
        optional_roles: those that a recipe may leave out.
        latents: drawn tensor -> the tensor that encodes it from a reference image (None: nothing does); a latent
            counts on the routes whose pass has it; without any the method is deterministic.
        sees: role -> what its shared network is shown, "source", "target", "both" or "pair", where it is not the usual:
            an encoder sees images of the domain that is left, all others those of the one that is entered. A pair is
            an image of the domain that the first route enters and its counterpart: `channels` may be a list of two.
        state: name -> what makes a module that is neither network nor tensor (an image pool), one for each route; its
            options are in the recipe's `state`, it is checkpointed.

    Args:
        networks: role -> domain, or "shared" -> network.
        phases: whose turns make a step.
        optimizers: with their memory of the networks.
        states: name -> route -> module.
        seed, precision, noise: of the recipe.
        device, dtype: of parameters and images.
        ema: averages of weights over the steps.
        spaces: what the images are, by domain and name.
        parts: in how many equal parts a step's images are taken, one after the other; their gradients are averaged.
    """

    forward_pass: ClassVar[type[ForwardPass] | Mapping[str, type[ForwardPass]]]
    routes: ClassVar[Mapping[str, tuple[str, str]]]
    roles: ClassVar[Mapping[str, str]]
    optional_roles: ClassVar[tuple[str, ...]] = ()
    latents: ClassVar[Mapping[str, str | None]] = {}
    sees: ClassVar[Mapping[str, str]] = {}
    state: ClassVar[Mapping[str, Callable[..., nn.Module]]] = {}

    def __init__(
        self, networks: Networks, phases: list[PhasePlan], optimizers: list[OptimizerEntry],
        states: Networks | None = None, *, seed: int = 0, device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32, precision: str = "fp32", ema: Ema | None = None, parts: int = 1,
        noise: str = "generator", spaces: Mapping[str, ImageSpace] | None = None,
    ) -> None:  # fmt: skip
        self.networks, self.phases, self.optimizers, self.states = networks, phases, optimizers, states or {}
        self.seed, self.device, self.dtype, self.precision = seed, torch.device(device), dtype, precision
        self.ema, self.parts, self.noise = ema, parts, noise
        self.spaces = defaultdict(lambda: RGB8) if spaces is None else spaces
        self._trainable = {  # without what a plugin froze for good
            role: [p for network in domains.values() for p in network.parameters() if p.requires_grad]
            for role, domains in networks.items()
        }

    def alike(self, **settings: Any) -> Self:
        """The same networks, optimizers and states under other settings: `phases`, `precision`, `ema` or `parts`."""
        kept = ("networks", "phases", "optimizers", "states", "seed", "device", "dtype", "precision", "ema", "parts",
                "noise", "spaces")  # fmt: skip
        return type(self)(**{name: getattr(self, name) for name in kept} | settings)

    @classmethod
    def image_domains(cls) -> list[str]:
        """The domains that the routes lead between, sorted."""
        return sorted({domain for route in cls.routes.values() for domain in route})

    def ends(self, route: str) -> tuple[ImageSpace, ImageSpace]:
        """What the images are that a route leads from and to."""
        source, target = self.routes[route]
        return self.spaces[source], self.spaces[target]

    @classmethod
    def pass_along(cls, route: str) -> type[ForwardPass]:
        """The tensors of a route."""
        return cls.forward_pass if isinstance(cls.forward_pass, type) else cls.forward_pass[route]

    @classmethod
    def latents_of(cls, route: str) -> dict[str, str | None]:
        """The latents of a route: drawn tensor -> the tensor that encodes it. Empty: one translation for an image."""
        known = cls.pass_along(route).tensors()
        return {drawn: encoded for drawn, encoded in cls.latents.items() if drawn in known}

    def training_only(self, roles: tuple[str, ...]) -> AbstractContextManager[None]:
        """Only these roles' parameters require gradients inside; afterwards as before."""
        return requiring({p: role in roles for role, parameters in self._trainable.items() for p in parameters})

    def ready(self, value: Any) -> Any:
        """A batch or a value on the trainer's device; floating-point tensors in its dtype, labels as they are."""
        if isinstance(value, Mapping):
            return {name: self.ready(item) for name, item in value.items()}
        if not isinstance(value, Tensor):
            return value
        return value.to(self.device, self.dtype if value.is_floating_point() else value.dtype, non_blocking=True)

    def _set_mode(self, *, training: bool) -> None:
        for _, network in self.modules():
            if any(module.training != training for module in network.modules()):
                network.train(training)

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every network and registered state, by its name in a checkpoint: "decoder.a", "decoder" when shared."""
        for role, domains in self.networks.items():
            yield from named(role, domains)
        for name, routes in self.states.items():
            for route, module in routes.items():
                yield f"state.{name}.{route}", module

    def parameters(self) -> dict[str, nn.Parameter]:
        """All parameters by name."""
        return {f"{key}.{name}": value for key, m in self.modules() for name, value in m.named_parameters()}

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers of every module."""
        return {f"{key}.{name}": value for key, m in self.modules() for name, value in m.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave; averages begin anew there. Raises KeyError or RuntimeError when names or
        shapes differ."""
        for key, module in self.modules():
            own = {name: state[f"{key}.{name}"] for name in module.state_dict()}
            module.load_state_dict(own)
        if self.ema:
            self.ema.begin()

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizers' memory, by "role|parameter|quantity"."""
        return {
            f"{role}|{name}": value
            for entry in self.optimizers
            for role, optimizer in entry.roles.items()
            for name, value in optimizer.state().items()
        }

    def load_optimizer_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `optimizer_state` gave; that of roles that are not trained here is left out."""
        for entry in self.optimizers:
            for role, optimizer in entry.roles.items():
                prefix = f"{role}|"
                optimizer.load({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def named(role: str, domains: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """The networks of a role by their names in a checkpoint: "decoder.a", "decoder" when shared."""
    return ((role if domain == "shared" else f"{role}.{domain}", network) for domain, network in domains.items())
