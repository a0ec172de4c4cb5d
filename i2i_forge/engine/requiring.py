"""Which parameters require gradients, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn


@contextmanager
def requiring(wanted: Mapping[nn.Parameter, bool]) -> Iterator[None]:
    """These parameters require gradients, or do not, inside; afterwards as before."""
    before = {parameter: parameter.requires_grad for parameter in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(flags: Mapping[nn.Parameter, bool]) -> None:
    for parameter, required in flags.items():
        parameter.requires_grad_(required)
