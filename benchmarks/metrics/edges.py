"""Edges of images and how well they agree.

Canny, A Computational Approach to Edge Detection, 1986 (the filters are kornia's). Precision and recall with a
tolerance: Martin, Fowlkes, Malik, Learning to Detect Natural Image Boundaries, 2004.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def find_edges(images: Tensor, threshold: float) -> Tensor:
    """One pixel wide edges of N,3,H,W in [-1, 1], seen in grey: N,H,W, bool.

    Args:
        threshold: of the gradient after a Gaussian blur of sigma 1; a step from black to white has 2.6.
    """
    from kornia.filters import canny  # slow to import

    gradient, _ = canny(images / 2 + 0.5, threshold, threshold, hysteresis=False)  # 0 off the ridges
    return gradient[:, 0] > threshold


def agreement(found: Tensor, true: Tensor, tolerance: int) -> Tensor:
    """Precision, recall and F1 of edges, each N,H,W, bool -> N,3, float64. All are 1 where neither has an edge.

    An edge counts as right if the other has one at most `tolerance` pixels away in x and in y.
    """
    precision, recall = _share_near(found, true, tolerance), _share_near(true, found, tolerance)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.stack([precision, recall, f1], 1)


def _share_near(a: Tensor, b: Tensor, tolerance: int) -> Tensor:
    """The share of a's edges that are near one of b: N. Of no edges: 1 if b has none either, else 0."""
    near = F.max_pool2d(b.float(), 2 * tolerance + 1, stride=1, padding=tolerance).bool()
    count = a.sum((1, 2)).double()
    return torch.where(count > 0, (a & near).sum((1, 2)) / count, ~b.any(2).any(1))
