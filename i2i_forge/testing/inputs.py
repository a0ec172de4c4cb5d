"""What components are called with, guessed from their parameters' names and annotations, and what they give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.system.seeding import generator
from i2i_forge.testing.subject import Subject


def leaves(value: Any) -> list[Tensor]:
    """The tensors in a value, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else []


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The value with each of its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(mapped(change, item) for item in value) if isinstance(value, list | tuple) else value


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, the same for the same shape and seed."""
    return torch.randn(shape, generator=generator("normal", seed, *shape))


def images(count: int = 2, height: int = 64, width: int = 64, seed: int = 0, channels: int = 3) -> Tensor:
    """Noise of several scales, N,C,H,W in [-1, 1]."""
    draws, total = generator("images", seed), torch.zeros(count, channels, height, width)
    for side in (2, 8, 32):
        coarse = torch.randn(count, channels, side, side, generator=draws)
        total += torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return total.div(2).tanh()


def differ(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether any two tensors are not bit-identical."""
    return any(not torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def far(found: Iterable[Tensor], expected: Iterable[Tensor], relative: float, absolute: float = 1e-12) -> bool:
    """Whether any two tensors differ by more than rounding, or in shape."""
    return any(
        one.shape != other.shape or not torch.allclose(one, other, rtol=relative, atol=absolute)
        for one, other in zip(found, expected, strict=True)
    )


def shapes(values: Iterable[Tensor]) -> str:
    """What messages say of tensors: "2x3x64x64, 2x8"."""
    return ", ".join("x".join(map(str, value.shape)) or "a scalar" for value in values)


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
        return scales[0] if parameter.annotation in (Tensor, "Tensor") else scales
    if "discriminator" in parameter.name or "critic" in parameter.name:
        return Critic()
    return normal(2, 8, seed=seed) if _is_code(parameter.name) else images(2, SIDE, SIDE, seed)


def _is_code(name: str) -> bool:
    return any(name.startswith(word) or name.endswith(f"_{word}") for word in CODES)


CPU = torch.device("cpu")


def arguments(subject: Subject, network: nn.Module) -> list[Any]:
    """What the network is called with."""
    make = subject.example.inputs
    return make(network) if make else list(network_inputs(subject.kind, network))


def outputs(network: nn.Module, given: list[Any]) -> list[Tensor]:
    """The tensors that the network gives; random layers draw the same every time, and `given` stays as it is."""
    own = [mapped(lambda x: x if x.requires_grad else x.clone(), value) for value in given]
    with seeded(0, CPU):
        return leaves(network(*own))


def double(subject: Subject) -> tuple[nn.Module, list[Any]]:
    """The network in eval mode and its arguments, float64: what differs then does so by more than rounding."""
    network: nn.Module = subject.build().double().eval()
    return network, [
        mapped(lambda x: x.double() if x.is_floating_point() else x, value) for value in arguments(subject, network)
    ]
