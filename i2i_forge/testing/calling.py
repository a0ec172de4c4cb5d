"""Calling a network of the kit: what it is given, and what it gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from i2i_forge.engine.forward_pass import seeded
from i2i_forge.testing.guesses import network_inputs
from i2i_forge.testing.subject import Subject
from i2i_forge.testing.values import leaves, mapped

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
    return network, [mapped(_doubled, value) for value in arguments(subject, network)]


def _doubled(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value
