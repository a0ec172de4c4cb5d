"""The Inception Score (Salimans et al. 2016): how sharp and how varied ImageNet's classes are."""

from __future__ import annotations

import torch

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, ByInput, Metric, Outcome, Protocol, Tools, exact
from i2i_forge_plugins.backbones.choice import choose_inception

SPLITS = 10
PER_SPLIT = 100  # images; with fewer there is one split only


class InceptionScore(Metric):
    """The Inception score exp(E KL(p(y|x) || p(y))): the mean over ten splits, with their deviation (`std`).

    A translation's split is its input's number modulo ten, not a random one, so that any number of ranks and any order
    of images give the same. Logits are without the bias, as the authors' code had them. For most target domains
    ImageNet's classes mean little.
    """

    sees = "rgb"
    direction = "up"
    protocols = (
        Protocol("salimans-2016/1", "ten splits, by input; one where a split would have less than 100", inputs=None),
    )
    backbones = ("random",)  # and no classifier: the score is defined by the classes of this network

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.network = self.backbone = choose_inception(tools)
        self.splits = ByInput()
        self.accumulators = {"splits": self.splits}

    def update(self, batch: Batch) -> None:
        """Translations: to its split each adds p (1008) and sum p log p (1)."""
        with exact():
            log_p = self.network.logits(batch.features(self.network)).double().log_softmax(1)
        p = log_p.exp()
        rows = torch.cat([p, (p * log_p).sum(1, keepdim=True)], 1)
        self.splits.add([number % SPLITS for number in batch.inputs], rows)

    def compute(self) -> list[Outcome]:
        _, counts, sums = self.splits.table()
        warnings = []
        if len(counts) < SPLITS or counts.min() < PER_SPLIT:
            warnings.append(
                f"{int(counts.sum())} images make one split, not ten of 5000: the score is biased downwards"
            )
            counts, sums = counts.sum(0, keepdim=True), sums.sum(0, keepdim=True)
        means = sums / counts[:, None]
        nats = torch.special.entr(means[:, :-1]).sum(1) + means[:, -1]  # E KL = H(E p) + E sum p log p
        scores = nats.exp()
        components = {"std": float(scores.std(correction=0)), "splits": len(scores)}
        return [Outcome(float(scores.mean()), components=components, warnings=warnings)]


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("is-tf", InceptionScore)
