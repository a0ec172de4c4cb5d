"""Initialisation of weights by name."""

from __future__ import annotations

import math

from torch import Tensor, nn

SCHEMES = ("kaiming", "gaussian", "xavier", "orthogonal", "default")


def initialize(network: nn.Module, scheme: str, gain: float | None = None) -> None:
    """Draw the weights of all convolutions and linear layers anew and set their biases to zero.

    Args:
        network: changed in place.
        scheme: kaiming (normal, fan-in, gain sqrt 2), gaussian (standard deviation 0.02), xavier and orthogonal
            (gain sqrt 2), or default (torch's own weights).
        gain: another standard deviation of gaussian, another gain of xavier and orthogonal. With it batch norms start
            at N(1, gain) and zero too; without it they are left alone.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"init '{scheme}' is not one of {', '.join(SCHEMES)}")
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            parametrized = getattr(module, "parametrizations", None)
            _draw(parametrized.weight.original if parametrized else module.weight, scheme, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and gain is not None and not module.weight.is_meta:
            nn.init.normal_(module.weight, 1.0, gain)
            nn.init.zeros_(module.bias)


def _draw(weight: Tensor, scheme: str, gain: float | None) -> None:
    if weight.is_meta:  # nothing to draw, and torch would import its compiler to do so
        return
    match scheme:
        case "kaiming":
            nn.init.kaiming_normal_(weight, a=0, mode="fan_in")
        case "gaussian":
            nn.init.normal_(weight, 0.0, 0.02 if gain is None else gain)
        case "xavier":
            nn.init.xavier_normal_(weight, gain=math.sqrt(2) if gain is None else gain)
        case "orthogonal":
            nn.init.orthogonal_(weight, gain=math.sqrt(2) if gain is None else gain)
