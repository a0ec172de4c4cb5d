"""Whether the ranks still have the same parameters, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from i2i_forge.errors import ForgeError
from i2i_forge.system.distributed.contact import world_size
from i2i_forge.system.distributed.roll_call import everyone

WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an element
MIXER = 0x9E3779B97F4A7C15 - 2**64  # 2^64 by the golden ratio: its multiples are spread evenly over 64 bits


def check_in_step(parameters: Mapping[str, Tensor], step: int) -> None:
    """Compare the ranks' parameters, by name. Raises ForgeError that names the first tensor that differs."""
    if world_size() == 1 or not parameters:
        return
    mine: list[int] = torch.stack([fingerprint(p) for p in parameters.values()]).tolist()
    prints = everyone(mine)
    for place, name in enumerate(parameters):
        others = [str(r) for r, theirs in enumerate(prints) if theirs[place] != prints[0][place]]
        if others:
            raise ForgeError(
                f"the ranks drifted apart: after step {step}, {name} of rank {', '.join(others)} is not that of rank 0",
                fix="the same command goes on from the last checkpoint. If it happens again: code that draws random "
                "numbers or changes weights on its own, or a machine that computes wrong",
            )


@torch.no_grad()
def fingerprint(tensor: Tensor) -> Tensor:
    """A 64-bit number of a tensor's bits, modulo 2^64: each element times an odd number of its place, summed.

    Any order of summing gives the same; NaN and signed zeros count as their bits, and exchanged values are noticed.
    """
    words = tensor.detach().contiguous().view(-1).view(WORDS[tensor.element_size()]).to(torch.int64)
    places = torch.arange(1, len(words) + 1, device=words.device).mul_(MIXER).bitwise_or_(1)
    return places.mul_(words).sum()
