import pytest
import torch
from torch.nn import functional as F

from i2i_forge.nn import Pad

MODES = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}


def by_slices(pad: Pad, x: torch.Tensor) -> torch.Tensor:
    """What runs on CUDA."""
    return pad._along(pad._along(x, 2), 3)


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_pad_is_torchs_padding(mode: str, size: int) -> None:
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(Pad(size, mode)(x), F.pad(x, [size] * 4, mode=MODES[mode]))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_the_slices_of_cuda_are_equal_in_value_and_gradient(mode: str, size: int, channels_last: bool) -> None:
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, theirs = by_slices(Pad(size, mode), one), F.pad(other, [size] * 4, mode=mode)
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    assert torch.allclose(one.grad, other.grad, rtol=1e-13, atol=1e-13)


def test_reflection_needs_more_pixels_than_it_adds() -> None:
    with pytest.raises(ValueError, match="reflection padding of 3 needs more than 3 pixels, here are 3"):
        by_slices(Pad(3), torch.zeros(1, 1, 3, 8))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="padding 'circular' is not one of reflect, replicate, zero"):
        Pad(1, "circular")
    assert repr(Pad(2, "zero")) == "Pad(2, zero)"
