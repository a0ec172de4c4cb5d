"""LPIPS diversity: how far the translations of one input are from each other (Zhu et al. 2017, BicycleGAN).

All pairs need no pairs: LPIPS is a squared distance |a - b|^2, so its mean is 2/(K-1) sum_i |a_i - mean|^2, with one
forward pass per translation. Beside it stands the same of real images, over all of their pairs. It includes their
content's variation: no target.

All protocols but drit-2018 estimate E_x E_{s,s'} LPIPS(G(x,s), G(x,s')); they differ in variance. In a Gaussian model
with T = tr(Sigma^2), an input's P disjoint pairs have the variance 8T/P, P consecutive ones about 12T/P, all pairs of K
translations 8T/(K-1): 20 translations with all pairs are as good as 38 in 19 disjoint ones. So the older ones are there
to compare with published numbers, and ours to measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import Batch, Metric, Moments, Outcome, Protocol, Sample, Tools, of_mean, over_inputs
from i2i_forge.system import generator
from i2i_forge_plugins.backbones.lpips import lpips_backbone
from i2i_forge_plugins.metrics.lpips_pairs import (
    AllPairs,
    Found,
    Identical,
    Neighbours,
    PairsByInput,
    mean_of_all_pairs,
    moments,
    pair_matrix,
)

RANDOM_PAIRS = 1000
COLLAPSED = 0.01  # of the real images' diversity


def _protocol(name: str, version: str, pairs: str, about: str, **counts: Any) -> Protocol:
    return Protocol(name, about, **counts, options={"net": "alex", "version": version, "pairs": pairs})


PROTOCOLS = (
    _protocol("allpairs/1", "0.1", "all", "all pairs of 20 translations, in closed form; LPIPS v0.1",
              draws=20, real="test"),
    _protocol("allpairs-v0/1", "0.0", "all",
              "all pairs of 20 translations, in closed form; LPIPS v0.0 as in the first publications",
              draws=20, real="test"),
    _protocol("munit-2018/1", "0.0", "disjoint",
              "MUNIT: 19 disjoint pairs of fresh styles for each input; LPIPS v0.0, inferred from its date",
              draws=38, real="test"),
    _protocol("bicyclegan-2017/1", "0.0", "consecutive",
              "BicycleGAN: 19 consecutive pairs of 20 translations, in the order of the draws; LPIPS v0.0",
              draws=20, real="test"),
    _protocol("starganv2-2020/1", "0.1", "all",
              "StarGAN v2: all 45 pairs of 10 translations; LPIPS v0.1; a mean over inputs, where the published code "
              "takes one over batches, in which inputs of a smaller last batch count more", inputs=None, draws=10),
    _protocol("drit-2018/1", "0.0", "random",
              "DRIT: 1000 random pairs among the translations of all inputs, so content counts too; LPIPS v0.0, "
              "assumed"),
)  # fmt: skip


class LpipsDiversity(Metric):
    """The mean LPIPS between translations of one input, mean over inputs.

    Components: `real`, the same of the real images over all their pairs; `ratio` to it; `collapsed_rate`, the share of
    inputs whose translations are nearly equal: their distance is below 1 % of `real`; `min` and `max` over inputs.

    The option `matrix` of a protocol with all pairs adds each input's distances as an array, `input_<number>`.

    Raises:
        DataError: the images are not of one size; weights are missing.
        UsageError: fewer than two translations.
    """

    direction = "up"
    sees = "rgb"
    protocols = PROTOCOLS
    real = "optional"
    needs_several = True
    backbones = ("random",)

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        options = protocol.options
        self.network = self.backbone = lpips_backbone(tools, options["net"], options["version"])
        self.width: int | None = None  # of the embeddings so far
        self.is_zero = tools.is_deterministic and options["pairs"] != "random"
        self.translations: PairsByInput | Sample
        if options["pairs"] == "random":
            self.translations = Sample()
        elif self.is_zero:
            self.translations = PairsByInput(Identical, protocol.draws)
        elif options["pairs"] == "all":
            self.translations = PairsByInput(partial(AllPairs, matrix=options.get("matrix", False)), protocol.draws)
        else:
            step = {"consecutive": 1, "disjoint": 2}[options["pairs"]]
            self.translations = PairsByInput(partial(Neighbours, step), protocol.draws)
        self.reals = Moments()
        self.accumulators = {"translations": self.translations, "reals": self.reals}

    def update(self, batch: Batch) -> None:
        rows = batch.images.new_zeros(len(batch), 0) if self.is_zero else self._embedded(batch)
        self.translations.add(batch.inputs, batch.draws, rows)

    def update_real(self, batch: Batch) -> None:
        self.reals.merge(moments(self._embedded(batch)))

    def compute(self) -> list[Outcome]:
        if isinstance(self.translations, Sample):
            outcome = self._across_inputs(self.translations.table()[1])
        else:
            outcome = self._within_inputs(self.translations.table())
        if self.reals.count > 1:
            outcome.real, real = self.reals.count, mean_of_all_pairs(self.reals)
            outcome.components |= {"real": real} | ({"ratio": outcome.value / real} if real else {})
            if outcome.per_input:
                below = [value < COLLAPSED * real for value in outcome.per_input.values()]
                outcome.components["collapsed_rate"] = sum(below) / len(below)
        return [outcome]

    def _embedded(self, batch: Batch) -> Tensor:
        rows: Tensor = batch.features(self.network)
        if self.width not in (None, rows.shape[1]):
            raise DataError(
                f"lpips-diversity: '{batch.names[0]}' is not of the size of the images before it",
                fix="bring all images, translated and real, to one size; LPIPS depends on it",
            )
        self.width = rows.shape[1]
        return rows

    def _within_inputs(self, found: Mapping[int, Found]) -> Outcome:
        few = next((number for number, one in found.items() if not one.pairs), None)
        if few is not None and not self.is_zero:
            raise UsageError(
                f"lpips-diversity: input {few} has {found[few].draws} translation, and there is no pair of it",
                fix=f"give each input at least 2 translations; {self.protocol.name} has {self.protocol.draws}",
            )
        warnings, counts = [], sorted({one.draws for one in found.values()})
        if self.is_zero:
            warnings.append("the method gives each input one translation: the diversity is 0 by construction")
        elif counts != [self.protocol.draws]:
            warnings.append(f"inputs have {', '.join(map(str, counts))} translations, not {self.protocol.draws}")
        means = {number: one.mean for number, one in found.items()}
        return Outcome(
            sum(means.values()) / len(means),
            per_input=means,
            pairs=sum(one.pairs for one in found.values()),
            components={"min": min(means.values()), "max": max(means.values())},
            arrays={f"input_{n}": one.matrix.numpy() for n, one in found.items() if one.matrix is not None},
            warnings=warnings,
            **of_mean(means),
        )

    def _across_inputs(self, rows: Tensor) -> Outcome:
        """Over random pairs of different inputs; for a number of inputs they are always the same."""
        count = len(rows)
        if count < 2:
            raise UsageError("lpips-diversity: there is no pair of inputs", fix="translate at least 2 inputs")
        draws = generator(self.protocol.name, count)
        i = torch.randint(count, (RANDOM_PAIRS,), generator=draws)
        j = (i + 1 + torch.randint(count - 1, (RANDOM_PAIRS,), generator=draws)) % count
        distances = pair_matrix(rows)[i, j]
        value = distances.mean().item()

        def statistic(weights: Tensor) -> Tensor:
            of_pairs = weights[:, i] * weights[:, j]
            return (of_pairs @ distances / of_pairs.sum(1)).nan_to_num(value)  # no pair was drawn: of 2 or 3 inputs

        se, ci95 = over_inputs(statistic, count)
        return Outcome(value, pairs=RANDOM_PAIRS, se=se, ci95=ci95, ci_method="input-bootstrap")


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("lpips-diversity", LpipsDiversity)
