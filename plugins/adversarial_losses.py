"""Adversarial games. Logits are a tensor or, from several scales, a list: the mean of each, summed over the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl

Logits = Tensor | Sequence[Tensor]


def lsgan_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Least squares, the discriminator's side: mean((D(x) - 1)^2) + mean(D(G)^2) (Mao et al. 2017, eq. 2)."""
    return _sum(lambda d: (d - 1).square(), real_logits) + _sum(torch.square, fake_logits)


def lsgan_generator(fake_logits: Logits) -> Tensor:
    """Least squares, the generator's side: mean((D(G) - 1)^2) (Mao et al. 2017, eq. 2)."""
    return _sum(lambda d: (d - 1).square(), fake_logits)


def nsgan_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Cross-entropy, the discriminator's side: -log D(x) - log(1 - D(G)) with sigmoid D (Goodfellow et al. 2014)."""
    return _sum(lambda d: F.softplus(-d), real_logits) + _sum(F.softplus, fake_logits)


def nsgan_generator(fake_logits: Logits) -> Tensor:
    """Non-saturating cross-entropy, the generator's side: -log D(G) (Goodfellow et al. 2014, section 3)."""
    return _sum(lambda d: F.softplus(-d), fake_logits)


def hinge_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Hinge, the discriminator's side: mean(max(0, 1 - D(x))) + mean(max(0, 1 + D(G))) (Lim & Ye 2017).

    Also Miyato et al. 2018, eq. 16.
    """
    return _sum(lambda d: F.relu(1 - d), real_logits) + _sum(lambda d: F.relu(1 + d), fake_logits)


def hinge_generator(fake_logits: Logits) -> Tensor:
    """Hinge, the generator's side: -mean(D(G)) (Lim & Ye 2017; Miyato et al. 2018, eq. 17)."""
    return -_sum(lambda d: d, fake_logits)


def wgan_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Wasserstein critic: mean(D(G)) - mean(D(x)) (Arjovsky et al. 2017, eq. 2, negated to be minimized).

    The critic must be kept Lipschitz by another term: `10 * gradient_penalty(discriminator, target, translation)`.
    """
    return _sum(lambda d: d, fake_logits) - _sum(lambda d: d, real_logits)


def wgan_generator(fake_logits: Logits) -> Tensor:
    """Wasserstein, the generator's side: -mean(D(G)) (Arjovsky et al. 2017, eq. 2)."""
    return -_sum(lambda d: d, fake_logits)


def _sum(loss: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    if isinstance(logits, Tensor):
        return loss(logits).mean()
    return torch.stack([loss(scale).mean() for scale in logits]).sum()


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("hinge_discriminator", hinge_discriminator)
    catalog.losses.add("hinge_generator", hinge_generator)
    catalog.losses.add("lsgan_discriminator", lsgan_discriminator)
    catalog.losses.add("lsgan_generator", lsgan_generator)
    catalog.losses.add("nsgan_discriminator", nsgan_discriminator)
    catalog.losses.add("nsgan_generator", nsgan_generator)
    # pix2pix's name of the same game: binary cross-entropy of the logits against 1 for real and 0 for fake
    catalog.losses.add("vanilla_discriminator", nsgan_discriminator)
    catalog.losses.add("vanilla_generator", nsgan_generator)
    catalog.losses.add("wgan_discriminator", wgan_discriminator)
    catalog.losses.add("wgan_generator", wgan_generator)
