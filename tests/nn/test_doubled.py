"""A convolution of the doubled image is that convolution, however it is computed."""

import pytest
import torch
from torch.nn import functional as F

from i2i_forge.nn import ConvBlock, DoubledConvBlock


class Doubling(ConvBlock):
    """What DoubledConvBlock computes, as one would write it."""

    def forward(self, x, affine=None):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"), affine)


def pair(padding, norm="none", activation="none"):
    """A block, and one with the same weights that doubles first."""
    torch.manual_seed(0)
    block = DoubledConvBlock(3, 4, norm=norm, activation=activation, padding=padding).double()
    plain = Doubling(3, 4, 5, 1, 2, norm=norm, activation=activation, padding=padding).double()
    plain.load_state_dict(block.state_dict())
    return block, plain


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("size", [(2, 2), (2, 7), (5, 4), (3, 3)])
def test_values_and_gradients_are_those_of_doubling_first(padding, size):
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 4, 2 * size[0], 2 * size[1], dtype=torch.float64)
    (found, gradients), (wanted, wanted_gradients) = (
        (y := network(x), torch.autograd.grad(y, (x, network.conv.weight, network.conv.bias), upstream))
        for network in pair(padding)
    )
    for one, other in zip((found, *gradients), (wanted, *wanted_gradients), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", ["instance", "layer", "batch", "spectral", "adain"])
def test_norm_and_activation_follow(norm):
    block, plain = (network.eval() for network in pair("reflect", norm, "lrelu"))
    affine = [torch.randn(2, 8, dtype=torch.float64)] if norm == "adain" else []
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(block(x, *affine), plain(x, *affine), rtol=1e-10, atol=1e-12)


def test_reflection_needs_two_pixels_as_it_does_after_doubling():
    block, plain = pair("reflect")
    for network in (block, plain):
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            network(torch.randn(1, 3, 1, 4, dtype=torch.float64))


def test_bfloat16_sums_taps_in_full_precision():
    torch.manual_seed(0)
    block = DoubledConvBlock(8, 8, activation="none")
    x = torch.randn(1, 8, 6, 6)
    wanted = block(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = block(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=2e-2, atol=2e-2)
