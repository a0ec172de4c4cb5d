"""What a network or a loss is called with, guessed from its parameters' names and annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.testing.values import images, normal

SIDE = 64
HINT = 'if it takes something else, say so in the plugin: CHECKS = {"%s.%s": {"inputs": lambda component: [...]}}'
CODES = ("code", "style", "mean", "logvar", "latent", "noise")


class Critic(nn.Module):
    """A small smooth discriminator of two scales, for losses that take one."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(5, torch.device("cpu")):
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations at both scales."""
        return [torch.tanh(self.first(x)), torch.tanh(self.first(x[..., ::2, ::2]))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """N,3,H,W -> logits N,1,H,W and N,1,H/2,W/2."""
        return [self.last(found) for found in self.features(x)]


def required(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters without a default."""
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def network_inputs(kind: str, network: nn.Module) -> list[Tensor]:
    """Two images for an encoder or discriminator, two maps of features for a decoder; codes by their names."""
    return [_network_input(kind, network, p.name, first=i == 0) for i, p in enumerate(required(network.forward))]


def _network_input(kind: str, network: nn.Module, name: str, *, first: bool) -> Tensor:
    convolution = next((m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)), None)
    if _is_code(name) or (first and convolution is None):
        return normal(2, _code_length(network, name))
    if kind == "decoders" and first and convolution is not None:
        return normal(2, convolution.in_channels, SIDE // 4, SIDE // 4)
    return images(2, SIDE, SIDE)


def _code_length(network: nn.Module, name: str) -> int:
    """The attribute `dim` or `<name>_dim`, else what the option of that name is by default, else what its first
    linear map takes."""
    options = inspect.signature(type(network)).parameters
    for key in (f"{name}_dim", "dim"):
        found = getattr(network, key, options[key].default if key in options else None)
        if isinstance(found, int):
            return found
    return next((m.in_features for m in network.modules() if isinstance(m, nn.Linear)), 8)


def loss_inputs(loss: Callable[..., Any]) -> list[Any]:
    """Logits, codes, a discriminator or images, by the parameters' names."""
    call = loss.forward if isinstance(loss, nn.Module) else loss
    return [_loss_input(parameter, seed) for seed, parameter in enumerate(required(call))]


def _loss_input(parameter: inspect.Parameter, seed: int) -> Any:
    if "logits" in parameter.name:
        scales = [normal(2, 1, side, side, seed=seed) for side in (8, 4)]
        return scales[0] if _is_tensor(parameter.annotation) else scales
    if "discriminator" in parameter.name or "critic" in parameter.name:
        return Critic()
    return normal(2, 8, seed=seed) if _is_code(parameter.name) else images(2, SIDE, SIDE, seed)


def _is_code(name: str) -> bool:
    return any(name.startswith(word) or name.endswith(f"_{word}") for word in CODES)


def _is_tensor(annotation: Any) -> bool:
    return annotation is Tensor or annotation == "Tensor"
