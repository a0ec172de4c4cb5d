"""Activations computed again in backward, in place of keeping them: less memory, the same numbers."""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.checkpoint import checkpoint

from i2i_forge.engine.requiring import requiring
from i2i_forge.errors import RecipeError


def recompute(network: nn.Module, where: str) -> None:
    """Let a network keep only its inputs for backward, and compute the rest again there.

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
    network.forward = MethodType(_forward, network)


def remembering(network: nn.Module) -> str:
    """The first layer that a pass changes, through running statistics or spectral norms; "" when there is none."""
    for name, module in network.named_modules():
        if is_parametrized(module) or getattr(module, "track_running_stats", False):
            return f"{name or 'network'} ({type(module).__name__})"
    return ""


def _forward(self: nn.Module, *args: Any, **options: Any) -> Any:
    plain = partial(type(self).forward, self)
    trained = {parameter: parameter.requires_grad for parameter in self.parameters()}
    if not torch.is_grad_enabled() or any(parameter.is_meta for parameter in trained):
        return plain(*args, **options)

    def alike(*args: Any, **options: Any) -> Any:
        with requiring(trained):  # in backward other parameters may be frozen than in this pass
            return plain(*args, **options)

    return checkpoint(alike, *args, use_reentrant=False, **options)
