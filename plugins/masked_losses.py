"""Distances inside a mask, or weighted by pixel: of each image, then the mean over the images.

    masked_l1, masked_l2, weighted_l1    sum(m |d|^p) / max(C sum(m), 1) of each image, d = input - target
    masked_ssim                          1 - the mean of SSIM (Wang et al. 2004) over the pixels of the mask

The mean over images is that of every micro-batch and rank together; an image whose mask is empty counts 0.
"""

from __future__ import annotations

from torch import Tensor

from i2i_forge import Catalog, hookimpl


def weighted_l1(input: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The mean of |input - target|, N,C,H,W, by the weights of pixels, N,1,H,W."""
    return _mean(_difference(input, target).abs(), weight)


def masked_l1(input: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean of |input - target|, N,C,H,W, where the mask, N,1,H,W, is not 0."""
    return _mean(_difference(input, target).abs(), mask > 0)


def masked_l2(input: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean of (input - target)^2, N,C,H,W, where the mask, N,1,H,W, is not 0."""
    return _mean(_difference(input, target).square(), mask > 0)


def masked_ssim(input: Tensor, target: Tensor, mask: Tensor, *, window: int = 11) -> Tensor:
    """1 - SSIM, of N,C,H,W in [-1, 1], over the pixels where the mask, N,1,H,W, is not 0; windows reach beyond it.

    Args:
        window: pixels of the Gaussian window's side, odd.
    """
    from kornia.metrics import ssim  # slow to import

    return _mean(1 - ssim(input, target, window, max_val=2.0), mask > 0)


def _difference(input: Tensor, target: Tensor) -> Tensor:
    if input.shape != target.shape:
        raise ValueError(f"the tensors have different shapes: {tuple(input.shape)} and {tuple(target.shape)}")
    return input - target


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    if weight.shape not in (each[:, :1].shape, each.shape):
        raise ValueError(f"the mask has the shape {tuple(weight.shape)}, the images {tuple(each.shape)}")
    weight = weight.to(each.dtype).expand_as(each)
    return ((each * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)).mean()


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.losses.add("masked_l1", masked_l1)
    catalog.losses.add("masked_l2", masked_l2)
    catalog.losses.add("masked_ssim", masked_ssim)
    catalog.losses.add("weighted_l1", weighted_l1)


CHECKS = {name: {"constant": ["mask"]} for name in ("masked_l1", "masked_l2", "masked_ssim")}
