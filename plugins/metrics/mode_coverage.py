"""Mode coverage: which modes the translations of an input show, each counted for the mode that is most probable."""

from __future__ import annotations

from itertools import compress

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, Outcome, Protocol, of_mean
from i2i_forge_plugins.backbones.choice import held_out_accuracy
from i2i_forge_plugins.metrics.mode_sums import OnModes, entropy, kl

SHARE = 0.05  # of an input's translations, below which a mode may be there by mistakes of the classifier


class ModeCoverage(OnModes):
    """The mean over inputs of the share of all modes that an input's translations show at least once.

    Components:
        modes, modes_5pct: how many modes an input shows, at all and in at least 5 % of its translations.
        ideal: the value expected of a sampler that draws one of M modes uniformly K times: 1 - (1 - 1/M)^K.
        perplexity: exp of the entropy of an input's histogram, mean over inputs.
        kl_real, kl_real_per_input: KL of the histogram to that of real images, in nats: of all translations together,
            and the mean over inputs. Left out where a mode that was translated to is not among the real images.
    """

    title = "mode-coverage"
    protocols = (
        Protocol("munit-2018/1", "the samples of that paper's CIS: 100 inputs, 100 draws each", draws=100, real="test"),
        Protocol("k10/1", "10 draws", draws=10, real="test"),
    )

    def update(self, batch: Batch) -> None:
        self.translations.add(batch.inputs, self._answers(batch))

    def update_real(self, batch: Batch) -> None:
        self.reals.add(batch.inputs, self._answers(batch))

    def compute(self) -> list[Outcome]:
        inputs, draws, counts = self.translations.table()
        shares, modes = counts / draws[:, None], counts.shape[1]
        shown = (shares > 0).double().sum(1)
        tried = torch.full_like(draws, self.protocol.draws) if self.tools.is_deterministic else draws
        per_input = dict(zip(inputs, (shown / modes).tolist(), strict=True))
        outcome = Outcome(
            float(shown.mean()) / modes, "mode_coverage", per_input, **of_mean(per_input), arrays={"histograms": counts}
        )
        outcome.components = {
            "modes": float(shown.mean()),
            "modes_5pct": float((shares >= SHARE).double().sum(1).mean()),
            "ideal": float((1 - (1 - 1 / modes) ** tried.double()).mean()),
            "perplexity": float(entropy(shares).exp().mean()),
            **held_out_accuracy(self.classifier),
        }
        if self.reals.counts:
            self._compare(outcome, shares)
        return [outcome]

    def _answers(self, batch: Batch) -> Tensor:
        return one_hot(batch.features(self.classifier).argmax(1), len(self.classifier.modes))

    def _compare(self, outcome: Outcome, shares: Tensor) -> None:
        real = self.reals.table()[2]
        outcome.real, prior, pooled = len(real), real.mean(0), shares.mean(0)
        absent = ((pooled > 0) & (prior == 0)).tolist()
        if any(absent):
            names = ", ".join(compress(self.classifier.modes, absent))
            outcome.warnings.append(f"no real image shows {names}: the KL to the real images is infinite")
            return
        outcome.components["kl_real"] = float(kl(pooled, prior))
        outcome.components["kl_real_per_input"] = float(kl(shares, prior).mean())


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("mode-coverage", ModeCoverage)
