"""Padding is torch's own; on CUDA nothing that its backward adds depends on an order."""

from itertools import product
from typing import Any

import pytest
import torch
from of_cuda import OfCuda
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from i2i_forge.nn import Pad

MODES = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}
SIZES = [(1, 2, 3), (1, 4, 4), (1, 5, 7), (2, 3, 9), (2, 5, 6), (2, 6, 7), (3, 4, 8), (3, 8, 9), (3, 17, 33)]


class Backwards(TorchDispatchMode):
    """The most numbers that a backward of torch's padding adds for one pixel, of each that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.most: list[float] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "pad2d_backward" in func.__name__ or "pad3d_backward" in func.__name__:
            self.most.append(func(torch.ones_like(args[0]), *args[1:], **(kwargs or {})).max().item())
        return func(*args, **(kwargs or {}))


def as_on_cuda(pad: Pad, x: Tensor) -> Tensor:
    return pad(x.as_subclass(OfCuda)).as_subclass(Tensor)  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_pad_is_torchs_padding(mode: str, size: int) -> None:
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(Pad(size, mode)(x), F.pad(x, [size] * 4, mode=MODES[mode]))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("size", "height", "width"), SIZES)
@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_on_cuda_values_first_and_second_gradients_are_the_same(
    mode: str, size: int, height: int, width: int, channels_last: bool
) -> None:
    memory = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, 3, height, width, dtype=torch.float64).contiguous(memory_format=memory).requires_grad_()
    weights = torch.randn(2, 3, height + 2 * size, width + 2 * size, dtype=torch.float64)
    found = []
    for padded in (as_on_cuda(Pad(size, mode), x), F.pad(x, [size] * 4, mode=mode)):
        (first,) = torch.autograd.grad((padded.square() * weights).sum(), x, create_graph=True)
        found.append((padded, first, torch.autograd.grad(first.square().sum(), x)[0]))
    (padded, *gradients), (value, *of_value) = found
    assert torch.equal(padded, value)
    if channels_last and (mode == "reflect" or size == 1):
        assert padded.is_contiguous(memory_format=memory)
    for one, other in zip(gradients, of_value, strict=True):
        assert torch.allclose(one, other, rtol=1e-13, atol=1e-13)


def test_on_cuda_no_more_than_two_numbers_are_added_for_a_pixel() -> None:
    with Backwards() as seen:
        for mode, size, height, width in product(("reflect", "replicate"), (1, 2, 3), range(2, 10), (9, 5)):
            if min(height, width) > size:
                x = torch.randn(1, 1, height, width, requires_grad=True)
                as_on_cuda(Pad(size, mode), x).sum().backward()
    assert set(seen.most) == {2.0}


def test_on_cuda_torchs_padding_runs_where_it_may() -> None:
    """Two kernels backward, and none where the user has torch refuse whatever adds without order."""
    x = torch.randn(1, 1, 16, 16, requires_grad=True)
    with Backwards() as seen:
        as_on_cuda(Pad(3), x).sum().backward()
    assert len(seen.most) == 2
    torch.use_deterministic_algorithms(True)
    try:
        with Backwards() as seen:
            as_on_cuda(Pad(3), x).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert not seen.most


def test_reflection_needs_more_pixels_than_it_adds() -> None:
    with pytest.raises(ValueError, match="reflection padding of 3 needs more than 3 pixels, here are 3"):
        as_on_cuda(Pad(3), torch.zeros(1, 1, 3, 8))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="padding 'circular' is not one of reflect, replicate, zero"):
        Pad(1, "circular")
    assert repr(Pad(2, "zero")) == "Pad(2, zero)"
