"""Whether a translation keeps the shape of its input: the edges of both, compared as outlines are.

Canny, A Computational Approach to Edge Detection, 1986 (the filters are kornia's). Precision and recall with a
tolerance: Martin, Fowlkes, Malik, Learning to Detect Natural Image Boundaries, 2004.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, ByInput, Metric, Outcome, Protocol, Tools, exact, of_mean

REMEMBERED = 100  # inputs that the floor is measured on


class EdgePairs:
    """The edges of the first inputs and of their first translations; a memory that merges."""

    def __init__(self) -> None:
        self.pairs: dict[int, Tensor] = {}  # input -> 2,H,W: its own edges, its translation's

    def add(self, inputs: list[int], draws: list[int], pairs: Tensor) -> None:
        """Pairs (B,2,H,W) of the given inputs' draws."""
        for number, draw, pair in zip(inputs, draws, pairs, strict=True):
            if number < REMEMBERED and draw == 0:
                self.pairs[number] = pair.clone()

    def state(self) -> dict[str, Any]:
        """The kept edges."""
        return {"pairs": {number: pair.cpu() for number, pair in self.pairs.items()}}

    def merge(self, state: dict[str, Any]) -> None:
        """The edges that another kept."""
        self.pairs |= state["pairs"]


class Structure(Metric):
    """F1 of the edges of a translation against those of its input: 1 where they agree, whatever the colours.

    Precision is the share of the translation's edges that lie near one of the input, recall the share of the input's
    that lie near one of the translation, F1 their harmonic mean; the value is the mean over translations, then inputs.

    The number alone says little: edges are dense, so that some agree by chance, and even a true output has edges of its
    own. The components give both ends of the scale:
        precision, recall: their means.
        floor: F1 against the input before instead of one's own (for the first, the last), over the first 100 inputs.
        truth: F1 of the true outputs, where they are known.

    Options of a protocol:
        threshold: see `find_edges`. There is one, not Canny's two with weak edges followed: that changes the F1 of true
            outputs by less than 0.02, and takes fifty times as long (drawings and photographs of 256x256).
        tolerance: as a share of the diagonal; rounded to pixels, at least 1. It must bridge half the width of a drawn
            line, which has an edge on either side where a photograph has one.
    """

    direction = "up"
    wants = frozenset({"sources"})
    protocols = (
        Protocol(
            "edges/1",
            "the edges of ten translations of each of 100 inputs against those of the input",
            draws=10,
            options={"threshold": 0.3, "tolerance": 0.01},
        ),
    )

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.scores, self.truths, self.edges = ByInput(), ByInput(), EdgePairs()
        self.accumulators = {"scores": self.scores, "truths": self.truths, "edges": self.edges}

    def update(self, batch: Batch) -> None:
        assert batch.sources is not None
        inputs = sorted(set(batch.inputs))
        one_each = [batch.inputs.index(number) for number in inputs]  # sources and truths repeat
        with exact():
            sources, outputs = self._edges(batch.sources[one_each]), self._edges(batch.images)
            if batch.truths is not None:
                self.truths.add(inputs, self._compared(self._edges(batch.truths[one_each]), sources))
            sources = sources[[inputs.index(number) for number in batch.inputs]]
            self.scores.add(batch.inputs, self._compared(outputs, sources))
        self.edges.add(batch.inputs, batch.draws, torch.stack([sources, outputs], 1))

    def compute(self) -> list[Outcome]:
        """One F1 with its components."""
        inputs, means = _means(self.scores)
        precision, recall, f1 = means.mean(0).tolist()
        per_input = dict(zip(inputs, means[:, 2].tolist(), strict=True))
        components = {"precision": precision, "recall": recall}
        if len(self.edges.pairs) > 1:
            components["floor"] = self._floor()
        if self.truths.sums:
            components["truth"] = float(_means(self.truths)[1][:, 2].mean())
        return [Outcome(f1, per_input=per_input, components=components, **of_mean(per_input))]

    def _floor(self) -> float:
        """Mean F1 of the remembered translations, each against the input before its own."""
        found = []
        kept = [self.edges.pairs[number].to(self.tools.device) for number in sorted(self.edges.pairs)]
        for (other, _), (_, output) in zip([kept[-1], *kept[:-1]], kept, strict=True):
            found.append(float(self._compared(output[None], other[None])[0, 2]))
        return sum(found) / len(found)

    def _edges(self, images: Tensor) -> Tensor:
        return find_edges(images, self.protocol.options["threshold"])

    def _compared(self, outputs: Tensor, sources: Tensor) -> Tensor:
        tolerance = self.protocol.options["tolerance"] * math.hypot(*outputs.shape[-2:])
        return agreement(outputs, sources, max(1, round(tolerance)))


def _means(memory: ByInput) -> tuple[list[int], Tensor]:
    """The inputs in order, and each one's mean row."""
    inputs, counts, sums = memory.table()
    return inputs, sums / counts[:, None]


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


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("structure", Structure)
