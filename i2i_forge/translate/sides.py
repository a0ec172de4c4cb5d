"""Which sides images must have for a method's networks, found by trying images of zeros; and images made to fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.engine.image_sizes import common_stride, shortest_side
from i2i_forge.engine.method import Method

Beside = Mapping[str, Tensor]  # name -> N,C,H,W of the same examples: masks uint8, others float32


class Sides(NamedTuple):
    """Sides are multiples of `stride` pixels, and not less than `least`."""

    stride: int
    least: int

    def fitted(self, pixels: int) -> int:
        """The shortest side that is taken and not shorter than this one."""
        return max(math.ceil(pixels / self.stride) * self.stride, self.least)


def sides_of(method: Method, compute: Callable[[Tensor], object], channels: int = 3) -> Sides:
    """The sides of images from which something can be computed; of what does not run at all, the networks' stride.

    Args:
        method: whose networks run.
        compute: of 1,C,H,W, e.g. `trainer.translate`; the networks that it does not run do not count.
        channels: C.
    """

    def run(side: int) -> list[nn.Module]:
        return used_for(method, compute, torch.zeros(1, channels, side, side))

    stride = common_stride(network for _, network in method.modules())
    if (side := shortest_side(run, stride)) is None:
        return Sides(stride, stride)
    used = common_stride(run(side))
    return Sides(used, shortest_side(run, used, side - stride + 1) or side)


def blank(method: Method, x: Tensor) -> dict[str, Tensor]:
    """Zeros in place of all further images that a recipe describes, of the number and size of x: N,C,H,W."""
    found, images = {}, method.image_domains()
    for name in (name for name in method.spaces if name not in images):
        space = method.spaces[name]
        dtype = torch.uint8 if space.kind == "labels" else x.dtype
        found[name] = torch.zeros(len(x), space.count, *x.shape[2:], dtype=dtype, device=x.device)
    return found


def used_for(method: Method, compute: Callable[[Tensor], object], x: Tensor) -> list[nn.Module]:
    """The networks that are run to compute something of x, or parts of which are."""
    called: set[nn.Module] = set()
    with ExitStack() as hooks:
        for _, network in method.modules():
            for module in network.modules():
                hooks.callback(module.register_forward_pre_hook(lambda m, _: called.add(m)).remove)
        compute(x)
    return [network for _, network in method.modules() if called & set(network.modules())]


def fit(
    images: Mapping[str, Tensor], rows: int, columns: int, sides: Sides
) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """Images N,C,rows,columns with their borders repeated to sides that are taken; themselves where they fit.

    And a function that cuts this size out of what becomes of them, in [-1, 1].
    """
    height, width = sides.fitted(rows), sides.fitted(columns)
    top, left = (height - rows) // 2, (width - columns) // 2
    edges = (left, width - columns - left, top, height - rows - top)

    def cut(y: Tensor) -> Tensor:
        return y[..., top : top + rows, left : left + columns].clamp(-1, 1)

    return {name: _padded(x, edges) if any(edges) else x for name, x in images.items()}, cut


def _padded(x: Tensor, edges: tuple[int, int, int, int]) -> Tensor:
    """Its border repeated; torch does so with floating-point numbers alone, which hold all labels."""
    floating = x if x.is_floating_point() else x.float()
    return F.pad(floating, edges, mode="replicate").to(x.dtype)
