"""Conditional Inception Score and Inception Score on known modes (Huang et al. 2018, MUNIT, section 5.2).

    CIS = E_i E_k KL(p(y | x_ik) || p(y | x_i))    p(y | x_i) = E_k p(y | x_ik)    (eq. 8)
    IS  = E_i E_k KL(p(y | x_ik) || p(y))          p(y) = E_i p(y | x_i)           (eq. 9)

x_ik is draw k of input i, p(y | x) what a classifier of the target domain's modes says. Both are in nats, as in the
paper's tables; the published script prints exp of them, which is the component `exp`. With S_i = sum_k p,
Q_i = sum_k p^2 and E_i = sum_k sum_y p log p, everything follows from sums:

    CIS_i = H(S_i / n_i) + E_i / n_i               IS = H(mean_i S_i / n_i) + mean_i E_i / n_i
    IS = CIS + JSD of the p(y | x_i)               an identity, checked in every run
"""

from __future__ import annotations

import math
from typing import Any

import torch

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, ByInput, Outcome, Protocol, Tools, of_mean, over_inputs
from i2i_forge_plugins.backbones.choice import held_out_accuracy
from i2i_forge_plugins.metrics.mode_sums import Modes, OnModes, first_order, sums


class ModeScore(OnModes):
    """What both scores share: the sums, the identity, and the ceiling that real images set."""

    unit = "nats"
    protocols = (
        Protocol("munit-2018/1", "as in the paper: 100 inputs, 100 draws each", draws=100, real="test"),
        Protocol("k10/1", "10 draws, the published script's default: CIS is about 13 % too low", draws=10, real="test"),
    )

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.seen = self.accumulators["seen"] = ByInput()

    def update(self, batch: Batch) -> None:
        self.translations.add(batch.inputs, sums(batch.features(self.classifier)))

    def update_real(self, batch: Batch) -> None:
        self.reals.add(batch.inputs, sums(batch.features(self.classifier)))
        self.seen.add(batch.inputs, torch.tensor(self.classifier.seen(batch.images))[:, None])

    def outcome(self, modes: Modes, value: float, bound: float, **more: Any) -> Outcome:
        """With what is said of either score; `bound` is what it cannot exceed."""
        outcome = Outcome(value, self.title, **more)
        outcome.components = {
            "exp": math.exp(value),
            "bound": bound,
            "jsd": modes.jsd(),
            "invariant_error": modes.identity_error(),
            **held_out_accuracy(self.classifier),
        }
        if self.reals.counts:
            self._compare(outcome)
        return outcome

    def _compare(self, outcome: Outcome) -> None:
        """The score of real images, which both scores of a perfect method would have: each x_i would see p(y)."""
        real = Modes.of(self.reals)
        ceiling = float(real.inception_score())
        outcome.real = len(real.inputs)
        outcome.components |= {"real": ceiling} | ({"ratio": outcome.value / ceiling} if ceiling > 0 else {})
        if seen := int(self.seen.table()[2].sum()):
            outcome.warnings.append(
                f"the classifier has learned from {seen} of the {outcome.real} real images: `real` is too high"
            )


class ConditionalInceptionScore(ModeScore):
    """CIS: how many modes the translations of one input show; 0 for a deterministic method."""

    title = "cis"

    def compute(self) -> list[Outcome]:
        modes = Modes.of(self.translations)
        cis = modes.cis()
        per_input = dict(zip(modes.inputs, cis.tolist(), strict=True))
        bound = math.log(min(modes.p.shape[1], self.protocol.draws))
        corrected = float((cis + first_order(modes.variance, modes.p, modes.draws)).mean())
        more = {"per_input": per_input, "bias_corrected": corrected, **of_mean(per_input)}
        return [self.outcome(modes, float(cis.mean()), bound, **more)]


class InceptionScore(ModeScore):
    """IS: how many modes all translations show together."""

    title = "is"

    def compute(self) -> list[Outcome]:
        modes = Modes.of(self.translations)
        value, count, more = float(modes.inception_score()), len(modes.inputs), {}
        if count > 1:
            se, ci95 = over_inputs(lambda drawn: modes.inception_score(drawn / count), count)
            corrected = value + float(first_order(modes.p.var(0), modes.p.mean(0), count))
            more = {"bias_corrected": corrected, "se": se, "ci95": ci95, "ci_method": "input-bootstrap"}
        return [self.outcome(modes, value, math.log(modes.p.shape[1]), **more)]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("cis", ConditionalInceptionScore)
    catalog.metrics.add("is", InceptionScore)
