"""A bridge between paired images: flow matching (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023, rectified flow,
arXiv 2209.03003; Albergo & Vanden-Eijnden 2023, arXiv 2209.15571).

A velocity v carries an image in a straight line from the source x to the target y, while the time t goes from 0 to 1.

    the equation                                    here
    x, y                                            source, target
    x_0 = x + sigma z,  z ~ N(0, I)                 start, random_start
    t ~ U(0, 1)                                     time
    x_t = (1 - t) x_0 + t y                         mixed
    v(x_t, t, x)                                    velocity
    y - x_0                                         drift         flow: 1 * mse(velocity, drift)
    x_1, where dx_t = v(x_t, t, x) dt from x_0      translation

The noise z has a number for each pixel and channel. With fewer, x_t would give y away as soon as t > 0, and nothing
would be learnt about where to go from x_0.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from i2i_forge import ForwardPass, Trainer, tensor

from .solver import Solver, tiled


class BridgeForward(ForwardPass):
    """From a domain to the other, on paired images."""

    source: Tensor  # images of the domain we leave
    target: Tensor  # what they look like in the domain we enter

    @tensor
    def random_start(self) -> Tensor:
        return self.noise(*self.source.shape, like=self.source)

    @tensor
    def start(self) -> Tensor:
        return self.source + self.state["solver"].sigma * tiled(self.random_start, like=self.source)

    @tensor
    def time(self) -> Tensor:
        return torch.special.ndtr(self.noise(self.source.shape[0], like=self.source))  # of normal draws: uniform ones

    @tensor
    def mixed(self) -> Tensor:
        return torch.lerp(self.start, self.target, self.time[:, None, None, None])

    @tensor
    def velocity(self) -> Tensor:
        return self.dst.velocity(self.mixed, self.time, self.source)

    @tensor
    def drift(self) -> Tensor:
        return self.target - self.start

    @tensor
    def translation(self) -> Tensor:
        return self.state["solver"](self.dst.velocity, self.start, self.source)


class Bridge(Trainer):
    """Paired translation by flow matching: one network, one regression; another start gives another translation."""

    forward_pass = BridgeForward
    routes: ClassVar = {"ab": ("a", "b")}
    roles: ClassVar = {"velocity": "decoders"}
    latents: ClassVar = {"random_start": None}
    state: ClassVar = {"solver": Solver}
