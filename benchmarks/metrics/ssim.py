"""SSIM.

Wang, Bovik, Sheikh, Simoncelli 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from i2i_forge.errors import DataError

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # (K L)^2 with the paper's K and L = 1


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean structural similarity of two batches, N,C,H,W in [0, 1] -> N in [-1, 1], float64 (eq. 13, 17).

    Moments are weighted by a Gaussian window; only windows that lie inside the image count, and each channel counts
    alike. float64, because the variances are differences of nearly equal numbers: in fp32 they cost 3e-6 on white.

    Raises:
        DataError: the images are smaller than the window.
    """
    height, width = x.shape[-2:]
    if min(height, width) < WINDOW:
        raise DataError(
            f"ssim: images of {width}x{height} pixels are smaller than its window of {WINDOW}x{WINDOW}",
            fix="measure larger images, or leave ssim out",
        )
    x, y = x.double(), y.double()
    rows, columns = _windows(height).to(x), _windows(width).to(x)
    mu_x, mu_y, xx, yy, xy = rows @ torch.stack([x, y, x * x, y * y, x * y]) @ columns.T
    var_x, var_y, cov = xx - mu_x**2, yy - mu_y**2, xy - mu_x * mu_y
    similarity = (2 * mu_x * mu_y + C1) * (2 * cov + C2) / ((mu_x**2 + mu_y**2 + C1) * (var_x + var_y + C2))
    return similarity.mean((1, 2, 3))


def _windows(size: int) -> Tensor:
    """The Gaussian window at each of its places along a side: size - 10,size; a product with it is a convolution."""
    window = torch.exp(-((torch.arange(WINDOW).double() - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    places = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for offset, weight in enumerate(window / window.sum()):
        places.diagonal(offset).fill_(weight)
    return places
