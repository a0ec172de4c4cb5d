"""Uncertainty over inputs. Translations of one input resemble each other, so inputs are drawn anew, not images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from i2i_forge.system.seeding import generator

REPLICATES = 2000


def over_inputs(
    statistic: Callable[[Tensor], Tensor], count: int, replicates: int = REPLICATES
) -> tuple[float, tuple[float, float]]:
    """Standard error and 95 % percentile interval of a statistic, from inputs drawn with replacement.

    Args:
        statistic: how often each input was drawn, (R, count) float64 -> (R) values.
        count: the number of inputs.

    Returns:
        nan for both where there are fewer than two inputs.
    """
    if count < 2:
        return float("nan"), (float("nan"), float("nan"))
    drawn = torch.randint(count, (replicates, count), generator=generator("bootstrap", count))
    weights = torch.zeros(replicates, count, dtype=torch.float64)
    weights.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    values = statistic(weights)
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(values.std()), (low, high)


def of_mean(per_input: Mapping[int, float]) -> dict[str, Any]:
    """`se`, `ci95` and `ci_method` of a mean over inputs, for an Outcome."""
    values = torch.tensor([per_input[n] for n in sorted(per_input)], dtype=torch.float64)
    if len(values) < 2:
        return {}
    se, ci95 = over_inputs(lambda weights: weights @ values / len(values), len(values))
    return {"se": se, "ci95": ci95, "ci_method": "input-bootstrap"}


def of_groups(per_group: Mapping[str, float]) -> dict[str, Any]:
    """The same of a mean over groups: what must not be parted is drawn as one."""
    found = of_mean(dict(enumerate(per_group.values())))
    return found | {"ci_method": "group-bootstrap"} if found else {}


def paired(a: Mapping[Any, float], b: Mapping[Any, float]) -> tuple[float, tuple[float, float] | None]:
    """The mean difference b - a over the same inputs, or groups, and its 95 % interval: None of fewer than two."""
    values = torch.tensor([b[n] - a[n] for n in sorted(a)], dtype=torch.float64)
    _, ci95 = over_inputs(lambda weights: weights @ values / len(values), len(values))
    return float(values.mean()), ci95 if len(values) > 1 else None
