"""Whatever asks for CUDA's driver is answered without one."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from i2i_forge_benchmarks.rehearsal.backward import backward
from i2i_forge_benchmarks.rehearsal.recorder import Recorder


class Generator:
    """In place of CUDA's default generator: counts what is asked of it."""

    device = torch.device("cuda", 0)

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def get_state(self) -> Tensor:
        """A state."""
        return torch.zeros(16, dtype=torch.uint8)

    def set_state(self, state: Tensor) -> None:
        """Nothing changes."""

    def manual_seed(self, seed: int) -> Generator:
        """Counted."""
        self.calls["manual_seed"] += 1
        return self


class Event:
    """In place of `torch.cuda.Event`: who synchronizes with one waits."""

    def __init__(self, **_: Any) -> None:
        self.recorded = False

    def record(self, stream: Any = None) -> None:
        """The work up to here is what is waited for."""
        self.recorded = True

    def synchronize(self) -> None:
        """A wait of whoever counts."""
        modes = torch.utils._python_dispatch._get_current_dispatch_mode_stack()
        for mode in modes:
            if isinstance(mode, Recorder):
                mode.wait("an event")


@contextmanager
def rehearsing() -> Iterator[tuple[FakeTensorMode, Generator]]:
    """Networks that are built inside and moved to "cuda" are fake there; batches are made under the mode it yields."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    generator, moved, applied, as_numpy = Generator(), nn.Module.to, nn.Module._apply, Tensor.numpy

    def to(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:  # parameters become fake as they move
        device, *_ = torch._C._nn._parse_to(*args, **kwargs)
        with fake if device is not None and device.type == "cuda" else nullcontext():
            return moved(self, *args, **kwargs)

    def _apply(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:  # torch would swap them, and cannot
        if not any(isinstance(parameter, FakeTensor) for parameter in self.parameters()):
            return applied(self, fn, recurse)
        for module in self.modules():
            with torch.no_grad():
                for name, parameter in module._parameters.items():
                    if parameter is not None:
                        module._parameters[name] = nn.Parameter(fn(parameter.detach()), parameter.requires_grad)
                module._buffers.update({n: b if b is None else fn(b) for n, b in module._buffers.items()})
        return self

    def tensor_backward(self: Tensor, gradient: Tensor | None = None, *_: Any, create_graph: bool = False) -> None:
        with torch.no_grad():
            first = torch.ones_like(self) if gradient is None else gradient
        backward([self], [first], create_graph=create_graph)

    def grad(outputs: Any, inputs: Any, *_: Any, create_graph: bool = False, **__: Any) -> Any:
        roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        with torch.no_grad():
            ones = [torch.ones_like(root) for root in roots]
        wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        return backward(roots, ones, create_graph=create_graph, wanted=wanted)

    def tolist(self: Tensor) -> Any:  # one wait, whatever its length
        value = self.flatten()[:1].sum().item() if self.numel() else 0
        return np.full(tuple(self.shape), value).tolist()

    def numpy(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self, FakeTensor):
            return as_numpy(self, *args, **kwargs)
        assert self.device.type == "cpu", "numpy() of a CUDA tensor"
        return np.zeros(tuple(self.shape), dtype=str(self.dtype).removeprefix("torch."))

    with ExitStack() as patches:
        for target, name, value in (
            (torch.cuda, "init", lambda: None), (torch.cuda, "_lazy_init", lambda: None),
            (torch.cuda, "current_device", lambda: 0), (torch.cuda, "current_stream", lambda *_: None),
            (torch.cuda, "Event", Event), (torch.cuda, "default_generators", (generator,)),
            (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
            (torch.cuda, "get_device_name", lambda *_: "none"),
            (torch._utils, "_get_available_device_type", lambda: "cuda"),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),  # autocast would turn itself off
            (nn.Module, "to", to), (nn.Module, "_apply", _apply),
            (Tensor, "backward", tensor_backward), (torch.autograd, "grad", grad),
            (Tensor, "pin_memory", lambda self: self.clone()),
            (Tensor, "numpy", numpy), (FakeTensor, "numpy", numpy), (FakeTensor, "tolist", tolist),
            (sys.modules["torch.optim.adam"], "_default_to_fused_or_foreach", lambda *_, **__: (False, True)),
            (torch.nn.utils.clip_grad, "_has_foreach_support", lambda *_: True),  # both want plain tensors
        ):  # fmt: skip
            patches.enter_context(mock.patch.object(target, name, value, create=True))
        yield fake, generator
