"""Data-parallel training by hand: one flat all-reduce of the gradients per optimizer step.

GANs call networks several times, in parts and with others frozen; wrappers such as DistributedDataParallel then diverge
without an error. Averaging what `backward` left behind is exact in every such case.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from i2i_forge.errors import ForgeError


def rank() -> int:
    """This process's number, 0 without torchrun."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together, 1 without torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks; a gradient missing on some ranks counts as zero there."""
    if world_size() == 1:
        return
    trained = list(parameters)
    present = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8, device=trained[0].device)
    dist.all_reduce(present, op=dist.ReduceOp.MAX)
    used = [p for p, anywhere in zip(trained, present.tolist(), strict=True) if anywhere]
    if not used:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in used]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for parameter, mean in zip(used, torch.split(flat, [p.numel() for p in used]), strict=True):
        parameter.grad = mean.view_as(parameter)


def check_in_step(parameters: Iterable[Tensor], step: int) -> None:
    """Stop when the ranks' parameters are no longer equal. Raises ForgeError."""
    if world_size() == 1:
        return
    mine = torch.stack([p.detach().double().sum() for p in parameters])
    low, high = mine.clone(), mine.clone()
    dist.all_reduce(low, op=dist.ReduceOp.MIN)
    dist.all_reduce(high, op=dist.ReduceOp.MAX)
    if not torch.equal(low, high):
        raise ForgeError(
            f"the ranks' parameters drifted apart at step {step}",
            fix="resume from the last checkpoint; a network that draws random numbers of its own is the usual cause",
        )
