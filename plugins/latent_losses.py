"""Losses of codes and of their distributions. A code is N,D; its distribution is N(mean, exp(logvar)), N,D each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import RecipeError
from i2i_forge.system import share


def kl(mean: Tensor, logvar: Tensor, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """KL divergence of N(mean, exp(logvar)) from N(0, 1) (Kingma & Welling 2014, appendix B).

    -1/2 sum(1 + logvar - mean^2 - exp(logvar)).

    Args:
        mean: N,D or any other shape with the batch first.
        logvar: the same shape.
        reduction: sum, over dimensions and the global batch (BicycleGAN), or mean, summed over dimensions and
            averaged over the batch (Augmented CycleGAN).

    Raises:
        RecipeError: another reduction.
    """
    _check_shapes(mean, logvar)
    divergence = -0.5 * (1 + logvar - mean.square() - logvar.exp()).flatten(1).sum(1)
    match reduction:
        case "sum":  # gradients are averaged over shares of the batch; this factor makes that the sum over all of it
            return divergence.sum() * share()[1]
        case "mean":
            return divergence.mean()
    raise RecipeError(f"kl: there is no reduction '{reduction}'", fix="use sum or mean")


def kl_unit_variance(mean: Tensor) -> Tensor:
    """KL divergence of N(mean, 1) from N(0, 1) as UNIT weighs it: mean(mean^2) over all elements (Liu et al. 2017).

    The divergence itself is half the sum of squares; the published training leaves the half out and averages.
    """
    return mean.square().mean()


def gaussian_nll(mean: Tensor, logvar: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of target under N(mean, exp(logvar)), mean over dimensions and batch.

    The latent cycle of Augmented CycleGAN with a stochastic encoder (Almahairi et al. 2018).
    1/2 (log 2 pi + logvar + (target - mean)^2 / exp(logvar)), for three tensors of one shape.
    """
    _check_shapes(mean, logvar, target)
    return 0.5 * (math.log(2 * math.pi) + logvar + (target - mean).square() * (-logvar).exp()).mean()


def mode_seeking(translation: Tensor, translation_2: Tensor, code: Tensor, code_2: Tensor, eps: float = 1e-5) -> Tensor:
    """Mode seeking (Mao et al. 2019, MSGAN): maximises d(images) / d(codes) by minimizing its inverse.

    mean|code - code_2| / (mean|translation - translation_2| + eps), both means over the whole batch, as the paper's
    distances are L1. The gradient reaches both translations.

    Args:
        translation: N,3,H,W, made with `code`.
        translation_2: the same images' translations made with `code_2`.
        code: N,D.
        code_2: N,D, a second draw.
        eps: keeps the ratio finite when the images are equal.
    """
    _check_shapes(translation, translation_2)
    _check_shapes(code, code_2)
    return (code - code_2).abs().mean() / ((translation - translation_2).abs().mean() + eps)


def _check_shapes(first: Tensor, *others: Tensor) -> None:
    # Broadcasting would compare every sample with every other and still give a number.
    for other in others:
        if other.shape != first.shape:
            raise ValueError(f"the tensors have different shapes: {tuple(first.shape)} and {tuple(other.shape)}")


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("gaussian_nll", gaussian_nll)
    catalog.losses.add("kl", kl)
    catalog.losses.add("kl_unit_variance", kl_unit_variance)
    catalog.losses.add("mode_seeking", mode_seeking)


def _distribution_and_target(loss: Callable[..., Tensor]) -> list[Tensor]:
    """What `forge plugin check` calls gaussian_nll with."""
    return [*torch.randn(3, 2, 8, generator=torch.Generator().manual_seed(0))]


CHECKS = {"gaussian_nll": {"inputs": _distribution_and_target}}
