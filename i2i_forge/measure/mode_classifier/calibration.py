"""How good probabilities are, and the temperature that mends them (Guo et al. 2017, On Calibration)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3


@dataclass(frozen=True)
class Quality:
    """Of a classifier on labelled images: share of right answers, mean negative log-likelihood in nats, and ECE."""

    accuracy: float
    nll: float
    ece: float


def quality(logits: Tensor, modes: Tensor) -> Quality:
    """Logits N,M and true modes N.

    ECE is the mean over images of |share of right answers - mean confidence| of the image's bin, in 15 bins of
    confidence of equal width (Guo et al. 2017, eq. 3).
    """
    logits = logits.double()
    confidence, answers = logits.softmax(1).max(1)
    right = (answers == modes).double()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).scatter_add_(0, bins, right - confidence)
    nll = float(functional.cross_entropy(logits, modes))
    return Quality(float(right.mean()), nll, float(gaps.abs().sum()) / len(modes))


def fitted_temperature(logits: Tensor, modes: Tensor) -> float:
    """The T for which softmax(logits / T) has the least negative log-likelihood; logits N,M, true modes N.

    The likelihood is concave in 1 / T, so the root of its slope is bisected. Where every answer is right it grows for
    ever as T falls to 0: such images say nothing about confidence, and T stays 1.
    """
    if bool((logits.argmax(1) == modes).all()):
        return 1.0
    logits = logits.double()
    true = logits.gather(1, modes[:, None])
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)  # of 1 / T
    for _ in range(60):
        middle = (low + high) / 2
        slope = ((logits * math.exp(middle)).softmax(1) * logits).sum() - true.sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp(-(low + high) / 2)
