"""Penalties on a discriminator's gradient with respect to the images it sees.

The value of a discriminator that gives maps of logits, at one scale or several, is here the sum over the scales of the
mean over each map: one number for each image. Gradients of single images are what the papers mean, so a discriminator
with batch normalisation does not fit. As in the papers, its parameters get a second-order gradient, the images none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.system import autocast, full

Discriminator = Callable[[Tensor], Tensor | Sequence[Tensor]]


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP: mean of (|grad D(x)|_2 - 1)^2 between real and fake images (Gulrajani et al. 2017, eq. 3).

    x is a random point between a real and a fake image. The paper's weight is 10: `10 * gradient_penalty(...)`.

    Args:
        discriminator: the critic.
        real: N,C,H,W; for a conditional critic the pair.
        fake: the same shape; image k is mixed with real image k, with one uniform random number for each.
    """
    if real.shape != fake.shape:
        raise ValueError(f"the tensors have different shapes: {tuple(real.shape)} and {tuple(fake.shape)}")
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=full(real).dtype, device=real.device)
    gradient = _gradient(discriminator, share * full(real) + (1 - share) * full(fake))
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def r1(discriminator: Discriminator, real: Tensor) -> Tensor:
    """R1: half the mean of |grad D(x)|^2 at the real images (Mescheder et al. 2018, eq. 9, without gamma).

    Args:
        discriminator: any game's.
        real: N,C,H,W; for a conditional discriminator the pair.
    """
    return 0.5 * _gradient(discriminator, full(real)).square().flatten(1).sum(1).mean()


def _gradient(discriminator: Discriminator, images: Tensor) -> Tensor:
    """The gradient of each image's value, differentiable in the parameters; in fp32, where squares do not vanish."""
    images = images.detach().requires_grad_()
    with autocast(images.device, "fp32"):
        logits = discriminator(images)
        scales = [logits] if isinstance(logits, Tensor) else logits
        value = torch.stack([scale.flatten(1).mean(1) for scale in scales]).sum()
        (gradient,) = torch.autograd.grad(value, images, create_graph=True)
    return gradient


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("gradient_penalty", gradient_penalty)
    catalog.losses.add("r1", r1)


CHECKS = {"gradient_penalty": {"constant": ["real", "fake"]}, "r1": {"constant": ["real"]}}
