"""Feature matching (Wang et al. 2018, pix2pixHD): a translation looks to the discriminator as its target does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import RecipeError


def feature_matching(discriminator: nn.Module, translation: Tensor, target: Tensor) -> Tensor:
    """L1 between the discriminator's activations of translation and target (Wang et al. 2018, eq. 4).

    Mean over the activations of each layer as in the paper; over layers and scales it is the mean too, where the paper
    sums, so that the weight does not depend on their number. The target's side is a constant.

    Args:
        discriminator: a network with `features(x) -> list[Tensor]`.
        translation: N,C,H,W; for a conditional discriminator the pair.
        target: what the translation should be, N,C,H,W: the data must be paired.

    Raises:
        RecipeError: the discriminator has no `features`.
    """
    features = getattr(discriminator, "features", None)
    if not callable(features):
        raise RecipeError(
            f"feature_matching: {type(discriminator).__name__} does not give its activations",
            fix="use a discriminator with a method `features(x) -> list[Tensor]`, such as multiscale_patch",
        )
    if translation.shape != target.shape:
        raise ValueError(f"the tensors have different shapes: {tuple(translation.shape)} and {tuple(target.shape)}")
    # Random layers (an augmentation of the input) must do the same to both: the second call starts where the first did.
    devices = [target.device] if target.is_cuda else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        wanted = features(target)
    pairs = zip(features(translation), wanted, strict=True)
    return torch.stack([(found - constant).abs().mean() for found, constant in pairs]).mean()


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("feature_matching", feature_matching)


CHECKS = {"feature_matching": {"constant": ["target"]}}
