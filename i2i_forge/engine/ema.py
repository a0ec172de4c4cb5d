"""Exponential moving averages of weights: what inference uses in place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of parameters over the images seen; the half-life is in images, so the batch size does not matter.

    After n images it is min(half_life, rampup * n), so that the first weights are soon forgotten (StyleGAN2, Karras et
    al. 2020, with a ramp-up of 0.05).

    Args:
        parameters: by name; they are updated elsewhere.
        half_life: images after which what was averaged counts half.
        rampup: of the images seen, as above.
        images: per step.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, half_life: float, rampup: float, images: int) -> None:
        self.parameters = dict(parameters)
        self.half_life, self.rampup, self.images = half_life, rampup, images
        self.begin()

    def begin(self) -> None:
        """Begin with the weights as they are."""
        self.values = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Count the weights after `step` + 1 steps."""
        half_life = min(self.half_life, self.rampup * (step + 1) * self.images)
        weight = 1 - 0.5 ** (self.images / half_life)
        torch._foreach_lerp_(list(self.values.values()), list(self.parameters.values()), weight)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The parameters have the averages' values inside, and their own afterwards."""
        own = {name: parameter.data for name, parameter in self.parameters.items()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    def settle(self) -> None:
        """Give the parameters the averages' values for good."""
        self._put(self.values)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Take back `values`. Raises KeyError or RuntimeError when names or shapes differ."""
        for name, own in self.values.items():
            own.copy_(values[name])

    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.data = values[name]
