"""What the ranks have in common: gradients are averaged, and parameters are the same bit for bit.

One flat all-reduce of the gradients per optimizer step. GANs call networks several times, in parts and with others
frozen; wrappers such as DistributedDataParallel then diverge without an error. Averaging what `backward` left behind is
exact in every such case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from i2i_forge.errors import ForgeError
from i2i_forge.system.distributed.ranks import everyone, in_contact, rank, roll_call, world_size
from i2i_forge.system.seeding import GOLDEN

WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an element


def average_gradients(parameters: Iterable[nn.Parameter], loss: Tensor) -> list[int]:
    """Replace each gradient by its mean over the ranks; a gradient missing on some ranks counts as zero there.

    Args:
        parameters: the same on every rank.
        loss: this rank's.

    Returns:
        The ranks whose loss or gradient is not finite, the same list on every rank; if there are any, all keep their
        own gradients. A single process gets an empty list and looks itself.
    """
    trained = list(parameters)
    if world_size() == 1 or not trained:
        return []
    flat, length = _flat(trained, loss.detach())
    roll_call()
    with in_contact():
        dist.all_reduce(flat)
        tail = flat[length:].tolist()
    used, health = tail[: len(trained)], tail[len(trained) :]
    sick = [r for r, value in enumerate(health) if not math.isfinite(value)]
    if not sick:
        means = torch.split(flat[:length].div_(world_size()), [p.numel() for p in trained])
        for parameter, mean, ranks in zip(trained, means, used, strict=True):
            parameter.grad = _laid_out(mean.view_as(parameter), parameter) if ranks else None
    return sick


def _laid_out(gradient: Tensor, parameter: nn.Parameter) -> Tensor:
    """The gradient in its parameter's layout: fused kernels read both in the order of memory."""
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)


def _flat(trained: list[nn.Parameter], loss: Tensor) -> tuple[Tensor, int]:
    """All gradients in a row; behind them for each parameter whether it has one, and for each rank its health.

    A rank's health is the sum of its loss and its gradients: finite only if all are. The others leave that place 0.
    """
    length, first = sum(p.numel() for p in trained), trained[0]
    flat = torch.empty(length + len(trained) + world_size(), dtype=first.dtype, device=first.device)
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in trained]
    torch.cat([gradient.reshape(-1) for gradient in gradients], out=flat[:length])
    flat[length : length + len(trained)] = torch.tensor([p.grad is not None for p in trained])
    flat[length + len(trained) :] = 0
    flat[length + len(trained) + rank()] = flat[:length].sum() + loss
    return flat, length


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
    places = torch.arange(1, len(words) + 1, device=words.device).mul_(GOLDEN).bitwise_or_(1)
    return places.mul_(words).sum()
