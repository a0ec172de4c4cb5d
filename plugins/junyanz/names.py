"""What the checkpoints of the three published programs have in common: names of layers, their order, statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

# Instance norms of files written by torch 0.3 carry statistics that nothing uses. Those of batch norms have a place.
STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")  # of convolutions and batch norms
# fmt: off
RANKS = (  # the order of names within a layer
    "fc", "fcVar", "conv", "shortcut", "down", "submodule", "up",
    *LEAVES,
)
# fmt: on


def in_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in the published order: layers by number, what a level holds before what follows it."""
    return dict(sorted(tensors.items(), key=lambda item: [_rank(part) for part in item[0].split(".")]))


def batch_norm_at(tensors: Mapping[str, Tensor], layer: str) -> bool:
    """Whether `layer` ("model.3.") is a batch norm; an instance norm has no weight."""
    weight = tensors.get(f"{layer}weight")
    return weight is not None and weight.dim() == 1


def _rank(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return 0, int(part), ""
    return 1, RANKS.index(part) if part in RANKS else len(RANKS), part
