"""Randomness as a function of names: the same (seed, step, ...) gives the same numbers, whatever else is drawn."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 by the golden ratio: its multiples are spread evenly over 64 bits


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed made from the parts with BLAKE2b; different parts give unrelated seeds.

    >>> seed_of(0, "init", "decoder") == seed_of(0, "init", "decoder")
    True
    """
    text = "/".join(f"{type(part).__name__}:{part}".replace("/", "//") for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded by `seed_of(*parts)`."""
    import torch

    return torch.Generator().manual_seed(seed_of(*parts))


def normal(key: int, places: range, *shape: int, device: torch.device) -> torch.Tensor:
    """Standard normal draws, len(places),*shape, made on the device: a sample is a function of the key and its place.

    SplitMix64 of a counter (Steele, Lea and Flood 2014), whose two halves become two numbers (Box and Muller
    1958). Devices agree up to the rounding of their logarithms and cosines.

    Args:
        key: of 63 bits, from `seed_of`.
        places: of the samples in the global batch.
        shape: of each sample.
        device: where they are made.
    """
    import torch

    size = math.prod(shape)
    pairs = (size + 1) // 2
    z = torch.arange(places.start * pairs + 1, places.stop * pairs + 1, device=device).mul_(GOLDEN).add_(key)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64), (31, 1)):
        z = z.bitwise_xor_((z >> shift).bitwise_and_(2 ** (64 - shift) - 1)).mul_(factor)  # torch shifts the sign in
    first, second = ((half & (2**32 - 1)).to(torch.float32).add_(0.5).mul_(2.0**-32) for half in (z >> 32, z))
    radius, angle = first.log_().mul_(-2).sqrt_(), second.mul_(2 * math.pi)
    both = torch.stack([angle.cos().mul_(radius), angle.sin().mul_(radius)], dim=-1)
    return both.view(len(places), 2 * pairs)[:, :size].reshape(len(places), *shape)
