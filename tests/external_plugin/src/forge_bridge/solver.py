"""How a translation is made: noise for images of any size, and steps along the velocity."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def tiled(noise: Tensor, like: Tensor) -> Tensor:
    """Noise repeated to the height and width of an image, so that noise drawn once serves images of any size."""
    height, width = like.shape[2:]
    rows, columns = (-(-side // have) for side, have in zip((height, width), noise.shape[2:], strict=True))
    return noise.repeat(1, 1, rows, columns)[..., :height, :width]


class Solver(nn.Module):
    """Heun's method on dx = v(x, t, condition) dt, from t = 0 to t = 1 in equal steps.

    Args:
        steps: how many; the network runs twice in each.
        sigma: standard deviation of the start around the source; with 0 an input has one translation.
    """

    def __init__(self, steps: int = 8, sigma: float = 1.0) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}, at least 1 is needed")
        if sigma < 0:
            raise ValueError(f"sigma is {sigma}, a standard deviation is not negative")
        self.steps, self.sigma = steps, sigma

    def forward(self, velocity: Callable[[Tensor, Tensor, Tensor], Tensor], start: Tensor, condition: Tensor) -> Tensor:
        """N,C,H,W at t = 0, and what the velocity is conditioned on -> N,C,H,W at t = 1."""
        x, dt = start, 1 / self.steps
        for step in range(self.steps):
            now, later = (x.new_full((x.shape[0],), (step + ahead) * dt) for ahead in (0, 1))
            slope = velocity(x, now, condition)
            x = x + dt / 2 * (slope + velocity(x + dt * slope, later, condition))
        return x
