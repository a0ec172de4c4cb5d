"""Distances between two tensors of one shape, averaged over all elements."""

from __future__ import annotations

from torch import Tensor

from i2i_forge import Catalog, hookimpl


def l1(input: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (_same_shape(input, target) - target).abs().mean()


def mse(input: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference."""
    return (_same_shape(input, target) - target).square().mean()


def charbonnier(input: Tensor, target: Tensor, eps: float = 1e-3) -> Tensor:
    """Smooth absolute difference: mean of sqrt((input - target)^2 + eps^2) (Charbonnier et al. 1994; Lai et al. 2017).

    Args:
        input: any shape.
        target: the same shape.
        eps: below this difference it is a parabola, above it the absolute value.
    """
    return ((_same_shape(input, target) - target).square() + eps**2).sqrt().mean()


def _same_shape(input: Tensor, target: Tensor) -> Tensor:
    # Broadcasting would compare every sample with every other and still give a number.
    if input.shape != target.shape:
        raise ValueError(f"the tensors have different shapes: {tuple(input.shape)} and {tuple(target.shape)}")
    return input


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("charbonnier", charbonnier)
    catalog.losses.add("l1", l1)
    catalog.losses.add("mse", mse)
