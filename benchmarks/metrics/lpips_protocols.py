"""The protocols of LPIPS diversity: what was published, and ours.

All but drit-2018 estimate E_x E_{s,s'} LPIPS(G(x,s), G(x,s')); they differ in variance. In a Gaussian model with
T = tr(Sigma^2), an input's P disjoint pairs have the variance 8T/P, P consecutive ones about 12T/P, all pairs of K
translations 8T/(K-1): 20 translations with all pairs are as good as 38 in 19 disjoint ones. So the older ones are there
to compare with published numbers, and ours to measure.
"""

from __future__ import annotations

from typing import Any

from i2i_forge.measure import Protocol


def _options(version: str, pairs: str) -> dict[str, Any]:
    return {"net": "alex", "version": version, "pairs": pairs}


PROTOCOLS = (
    Protocol(
        "allpairs/1",
        "all pairs of 20 translations, in closed form; LPIPS v0.1",
        draws=20,
        real="test",
        options=_options("0.1", "all"),
    ),
    Protocol(
        "allpairs-v0/1",
        "all pairs of 20 translations, in closed form; LPIPS v0.0 as in the first publications",
        draws=20,
        real="test",
        options=_options("0.0", "all"),
    ),
    Protocol(
        "munit-2018/1",
        "MUNIT: 19 disjoint pairs of fresh styles for each input; LPIPS v0.0, inferred from its date",
        draws=38,
        real="test",
        options=_options("0.0", "disjoint"),
    ),
    Protocol(
        "bicyclegan-2017/1",
        "BicycleGAN: 19 consecutive pairs of 20 translations, in the order of the draws; LPIPS v0.0",
        draws=20,
        real="test",
        options=_options("0.0", "consecutive"),
    ),
    Protocol(
        "starganv2-2020/1",
        "StarGAN v2: all 45 pairs of 10 translations; LPIPS v0.1; a mean over inputs, where the published code takes "
        "one over batches, in which inputs of a smaller last batch count more",
        inputs=None,
        draws=10,
        options=_options("0.1", "all"),
    ),
    Protocol(
        "drit-2018/1",
        "DRIT: 1000 random pairs among the translations of all inputs, so content counts too; LPIPS v0.0, assumed",
        options=_options("0.0", "random"),
    ),
)
