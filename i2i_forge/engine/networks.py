"""The networks that a pass runs: those of a domain; which parameters learn, what backward computes again, compiling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.checkpoint import checkpoint

from i2i_forge.errors import RecipeError, suggest


class DomainNetworks:
    """The networks of one domain by role: `self.src.content_encoder`."""

    def __init__(self, networks: Mapping[str, Mapping[str, nn.Module]], domain: str) -> None:
        self._networks, self._domain = networks, domain

    def __contains__(self, role: str) -> bool:
        """Whether the recipe has this role; an optional one may be left out."""
        return role in self._networks

    def __getattr__(self, role: str) -> Any:
        if role.startswith("_"):
            raise AttributeError(role)
        if role not in self._networks:
            raise RecipeError(
                f"networks.{role}: the recipe has none, and a tensor needs it", fix=suggest(role, self._networks)
            )
        per_domain = self._networks[role]
        network = per_domain.get(self._domain, per_domain.get("shared"))
        if network is None:
            raise RecipeError(
                f"networks.{role}: domain '{self._domain}' has none, and a tensor needs it",
                fix=f"name the domain too: `per: [{', '.join([*per_domain, self._domain])}]`",
            )
        return network


@contextmanager
def requiring(wanted: Mapping[nn.Parameter, bool]) -> Iterator[None]:
    """These parameters require gradients, or do not, inside; afterwards as before."""
    before = {parameter: parameter.requires_grad for parameter in wanted}
    try:
        for parameter, required in wanted.items():
            parameter.requires_grad_(required)
        yield
    finally:
        for parameter, required in before.items():
            parameter.requires_grad_(required)


def recompute(network: nn.Module, where: str) -> None:
    """Let a network keep only its inputs for backward, and compute the rest again there: the same numbers, less memory.

    Args:
        network: of the step; what it draws is drawn again alike.
        where: its key in the recipe, for errors.

    Raises:
        RecipeError: a second pass would change what the network remembers: running statistics, spectral norms.
    """
    if found := remembering(network):
        raise RecipeError(
            f"{where}: its {found} remembers each pass, and would count the second one too",
            fix="leave this role out of run.recompute, or give it another norm",
        )
    network.forward = MethodType(_recomputed, network)


def remembering(network: nn.Module) -> str:
    """The first layer that a pass changes, through running statistics or spectral norms; "" when there is none."""
    for name, module in network.named_modules():
        if is_parametrized(module) or getattr(module, "track_running_stats", False):
            return f"{name or 'network'} ({type(module).__name__})"
    return ""


def _recomputed(self: nn.Module, *args: Any, **options: Any) -> Any:
    plain = partial(type(self).forward, self)
    trained = {parameter: parameter.requires_grad for parameter in self.parameters()}
    if not torch.is_grad_enabled() or any(parameter.is_meta for parameter in trained):
        return plain(*args, **options)

    def alike(*args: Any, **options: Any) -> Any:
        with requiring(trained):  # in backward other parameters may be frozen than in this pass
            return plain(*args, **options)

    return checkpoint(alike, *args, use_reentrant=False, **options)


def compiled(network: nn.Module, backend: str = "inductor") -> None:
    """Let torch compile a network when it first runs, and anew for what it has not seen yet: a size, a frozen part.

    It takes fewer kernels and passes over memory; its numbers are the same but for rounding.

    Args:
        network: its parameters and their names stay as they are.
        backend: of torch.compile.
    """
    torch._inductor.config.fallback_random = True  # dropout draws what it draws without
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)  # networks of a class share it
    network.compile(backend=backend)
