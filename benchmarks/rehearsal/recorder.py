"""What operations on fake CUDA tensors would cost: kernels, bytes, and where the host waits for the device."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import walk_stack
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import i2i_forge
import i2i_forge_plugins

aten = torch.ops.aten
OURS = tuple(f"{Path(package.__path__[0]).resolve()}/" for package in (i2i_forge, i2i_forge_plugins))


def _lists_of(tensors: int) -> Callable[[Any], int]:
    """Kernels over lists: so many tensors in each, and 320 blocks of 65,536 elements."""

    def count(args: Any) -> int:
        blocks = sum(math.ceil(tensor.numel() / 65536) for tensor in args[0])
        return max(1, math.ceil(len(args[0]) / tensors), math.ceil(blocks / 320))

    return count


KERNELS: dict[str, Callable[[Any], int]] = {  # by operation, where it is not one: as torch's eager kernels are written
    "convolution": lambda args: 1 + (args[2] is not None),  # its bias
    "convolution_backward": lambda args: sum(args[-1]),  # of input, weight and bias
    "native_batch_norm": lambda args: 2 if args[5] else 1,
    "native_batch_norm_backward": lambda _: 2,
    "reflection_pad2d_backward": lambda _: 2, "replication_pad2d_backward": lambda _: 2,  # zeros, then sums
    "reflection_pad3d_backward": lambda _: 2, "replication_pad3d_backward": lambda _: 2,
    "slice_backward": lambda _: 2, "select_backward": lambda _: 2,
    "index_put": lambda _: 6, "_index_put_impl_": lambda _: 6,
    "_fused_adam_": _lists_of(36), "_fused_adamw_": _lists_of(36),
    "_foreach_norm": lambda args: 1 + _lists_of(110)(args), "_foreach_mul_": _lists_of(110),
    "_foreach_add_": _lists_of(110), "_foreach_sub_": _lists_of(110), "_foreach_lerp_": _lists_of(64),
}  # fmt: skip
FREE = {
    "detach", "alias", "lift_fresh", "lift", "empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view",
    "set_", "new_empty_strided", "_local_scalar_dense", "resize_", "is_pinned", "equal", "_reshape_alias",
}  # fmt: skip
SIZED_BY_VALUES = {"nonzero", "masked_select", "_unique2", "unique_dim"}


class Recorder(TorchDispatchMode):
    """Counts what runs on CUDA inside. Values that the host waits for are made up: half, 0, true.

    Attributes:
        kernels, bytes: by operation.
        waits: by what is waited for, and where.
        drawn: random draws of the host, by place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.drawn: Counter[str] = Counter()

    def wait(self, what: str) -> None:
        """The host waits for the device."""
        self.waits[f"{site()}: {what}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if isinstance(first, FakeTensor) and func in (aten._local_scalar_dense.default, aten.equal.default):
            if first.is_cuda:
                self.wait("one number")
            if func is aten.equal.default or first.dtype == torch.bool:
                return True
            return 0.5 if first.is_floating_point() else 0
        if first is not None and first.is_cuda and name in SIZED_BY_VALUES:
            self.wait(f"{name}, whose size depends on values")
            self.kernels[name] += 3
            shape = (first.numel(), first.dim()) if name == "nonzero" else (first.numel(),)
            return torch.zeros(shape, dtype=torch.int64 if name == "nonzero" else first.dtype, device=first.device)
        result = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        taken = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in ("_to_copy", "copy_"):
            self._copied(name, args, kwargs, taken, made)
        if name in ("randn", "normal_", "rand", "uniform_") and not any(tensor.is_cuda for tensor in made):
            self.drawn[site()] += 1
        lists = name.startswith(("_foreach", "_fused")) and any(tensor.is_cuda for tensor in taken)
        launched = any(tensor.is_cuda and tensor.numel() for tensor in made) and name not in FREE and not _is_view(func)
        if lists or launched:
            self.kernels[name] += KERNELS[name](args) if name in KERNELS else _lists_of(64)(args) if lists else 1
            moved = {id(tensor): tensor for tensor in [*taken, *made] if tensor.is_cuda}
            self.bytes[name] += sum(tensor.numel() * tensor.element_size() for tensor in moved.values())
        return result

    def _copied(self, name: str, args: Any, kwargs: Any, taken: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        source, target = (taken[0], made[0]) if name == "_to_copy" else (taken[-1], taken[0])
        waits = not (kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
        if waits and source.device.type != target.device.type:
            way = "from the device" if source.is_cuda else "to the device"
            self.wait(f"{source.numel() * source.element_size():,} bytes {way}")


def _is_view(func: Any) -> bool:
    aliases = (result.alias_info for result in func._schema.returns)
    return func.is_view or any(alias is not None and not alias.is_write for alias in aliases)


def site() -> str:
    """The innermost line of the engine or a plugin that is running: "engine/trainer.py:92 step"."""
    for frame, line in walk_stack(sys._getframe(1)):
        file = str(Path(frame.f_code.co_filename).resolve())
        for package in OURS:
            if file.startswith(package):
                return f"{file.removeprefix(package)}:{line} {frame.f_code.co_name}"
    return "outside"
