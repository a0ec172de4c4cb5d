"""Tensors inside lists and tuples, and the numbers that the kit makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from i2i_forge.system.seeding import generator


def leaves(value: Any) -> list[Tensor]:
    """The tensors in a value, in order."""
    if isinstance(value, Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else []


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The value with each of its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(mapped(change, item) for item in value) if isinstance(value, list | tuple) else value


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, the same for the same shape and seed."""
    return torch.randn(shape, generator=generator("normal", seed, *shape))


def images(count: int = 2, height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    """Noise of several scales, N,3,H,W in [-1, 1]."""
    draws, total = generator("images", seed), torch.zeros(count, 3, height, width)
    for side in (2, 8, 32):
        coarse = torch.randn(count, 3, side, side, generator=draws)
        total += torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return total.div(2).tanh()


def differ(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether any two tensors are not bit-identical."""
    return any(not torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def far(found: Iterable[Tensor], expected: Iterable[Tensor], relative: float, absolute: float = 1e-12) -> bool:
    """Whether any two tensors differ by more than rounding, or in shape."""
    return any(
        one.shape != other.shape or not torch.allclose(one, other, rtol=relative, atol=absolute)
        for one, other in zip(found, expected, strict=True)
    )


def shapes(values: Iterable[Tensor]) -> str:
    """What messages say of tensors: "2x3x64x64, 2x8"."""
    return ", ".join("x".join(map(str, value.shape)) or "a scalar" for value in values)
