"""What metrics of modes share, and their algebra: from logits to sums that ranks add, from sums to CIS, IS and JSD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from i2i_forge.errors import DataError
from i2i_forge.measure import ByInput, Metric, Protocol, Tools
from i2i_forge_plugins.backbones.choice import classifier_for

TOLERANCE = 1e-9  # of IS = CIS + JSD, in float64


class OnModes(Metric):
    """Asks a classifier which modes translations, and real images, show.

    Attributes:
        title: how its messages call it.
    """

    direction = "up"
    real = "optional"
    needs_several = True
    backbones = ("random",)
    title: ClassVar[str]

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.backbone = self.classifier = classifier_for(tools, self.title)
        self.translations, self.reals = ByInput(), ByInput()
        self.accumulators = {"translations": self.translations, "real": self.reals}


def sums(logits: Tensor) -> Tensor:
    """Logits B,M -> p, p^2 and sum_y p log p of each image: B,2M+1, float64. No epsilon: 0 log 0 is 0."""
    p = logits.double().log_softmax(1).exp()
    return torch.cat([p, p.square(), -entropy(p)[:, None]], 1)


def entropy(p: Tensor) -> Tensor:
    """H(p) in nats over the last axis."""
    return torch.special.entr(p).sum(-1)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats over the last axis; infinite where q is 0 and p is not."""
    return -torch.special.xlogy(p, q).sum(-1) - entropy(p)


def first_order(variance: Tensor, p: Tensor, count: Tensor | int) -> Tensor:
    """By how much H of the mean p of `count` distributions is too low: 1/(2 count) sum_y variance_y / p_y, first order.

    Args:
        variance, p: of what the mean is over, and the mean itself, ..., M.
    """
    return torch.where(p > 0, variance.clamp(min=0) / p, 0).sum(-1) / (2 * count)


@dataclass(frozen=True)
class Modes:
    """What N inputs show; every input counts the same, however many translations of it there are.

    Attributes:
        inputs: their numbers.
        draws: translations of each, N.
        p: p(y | x_i), N,M.
        variance: of p(y | x_ik) over k, without bias, N,M; 0 where there is one translation.
        negentropy: the mean of sum_y p log p over k, N.
    """

    inputs: list[int]
    draws: Tensor
    p: Tensor
    variance: Tensor
    negentropy: Tensor

    @classmethod
    def of(cls, memory: ByInput) -> Modes:
        """From rows of `sums`."""
        inputs, draws, table = memory.table()
        n, m = draws[:, None].double(), table.shape[1] // 2
        p, square, negentropy = (table / n).split([m, m, 1], 1)
        return cls(inputs, draws, p, (square - p**2) * n / (n - 1).clamp(min=1), negentropy[:, 0])

    def cis(self) -> Tensor:
        """CIS_i of each input, N; exactly 0 for one translation, and never negative by rounding."""
        return torch.where(self.draws > 1, entropy(self.p) + self.negentropy, 0).clamp(min=0)

    def inception_score(self, weights: Tensor | None = None) -> Tensor:
        """IS; or for weights of the inputs R,N, which sum to 1, the IS under each row, R."""
        if weights is None:
            weights = torch.full_like(self.negentropy, 1 / len(self.inputs))
        return entropy(weights @ self.p) + weights @ self.negentropy

    def jsd(self) -> float:
        """Jensen-Shannon divergence of the p(y | x_i): the mean of their KL to their mean."""
        return float(kl(self.p, self.p.mean(0)).mean())

    def identity_error(self) -> float:
        """|IS - CIS - JSD|. Raises DataError above the tolerance: the logits are not finite then."""
        error = abs(float(self.inception_score() - self.cis().mean()) - self.jsd())
        if not error <= TOLERANCE:
            raise DataError(
                f"the classifier's probabilities do not add up: IS - CIS - JSD is {error}, not 0",
                fix="look at the images: some hold values that are not finite",
            )
        return error
