from itertools import product

import pytest
import torch
from of_cuda import OfCuda
from torch import nn
from torch.nn import functional as F

from i2i_forge.nn import ConvBlock, DoubledConvBlock, LinearBlock, ResidualBlock, adain

NORMS = ("none", "instance", "layer", "batch", "spectral", "adain")
ACTIVATIONS = ("relu", "lrelu", "prelu", "selu", "tanh", "none")
PADDINGS = ("reflect", "replicate", "zero")


@pytest.mark.parametrize("norm", NORMS)
def test_every_block_runs_and_learns(norm: str) -> None:
    for activation, padding in product(ACTIVATIONS, PADDINGS):
        block = ConvBlock(3, 4, 4, 2, 1, norm=norm, activation=activation, padding=padding)
        affine = torch.randn(2, 8) if norm == "adain" else None
        x = torch.randn(2, 3, 8, 6, requires_grad=True)
        out = block(x, affine)
        assert out.shape == (2, 4, 4, 3)
        (out * torch.randn_like(out)).sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert all(p.grad is not None for p in block.parameters())


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_block_is_pad_convolution_norm_activation(padding: str) -> None:
    block = ConvBlock(3, 4, 5, 1, 2, norm="instance", activation="lrelu", padding=padding).double()
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    padded = F.pad(x, [2] * 4, mode="constant" if padding == "zero" else padding)
    convolved = F.conv2d(padded, block.conv.weight, block.conv.bias)
    assert torch.allclose(block(x), F.leaky_relu(F.instance_norm(convolved), 0.2), atol=1e-12)


@pytest.mark.parametrize("norm", ["none", "instance", "layer", "batch", "adain"])
def test_every_convolution_has_a_bias_even_before_a_norm(norm: str) -> None:
    assert ConvBlock(3, 4, 3, norm=norm).conv.bias is not None


def test_an_adaptive_block_has_no_state_of_its_own_and_wants_its_map() -> None:
    block = ConvBlock(3, 4, 3, norm="adain", activation="none")
    assert set(block.state_dict()) == {"conv.weight", "conv.bias"}
    x, affine = torch.randn(1, 3, 8, 8), torch.randn(2, 8)
    assert torch.equal(block(x, affine), adain(block.conv(x), affine))
    with pytest.raises(AssertionError, match="needs its affine map"):
        block(x)


def test_spectral_norm_bounds_the_matrix() -> None:
    torch.manual_seed(0)
    block = ConvBlock(3, 4, 3, norm="spectral").train()
    with torch.no_grad():
        for _ in range(20):
            block(torch.randn(1, 3, 8, 8))
    assert torch.linalg.matrix_norm(block.conv.weight.flatten(1), 2).item() == pytest.approx(1, rel=1e-3)


def test_a_residual_block_adds_without_activation() -> None:
    block = ResidualBlock(4, norm="instance", activation="relu", padding="reflect")
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x + block.second(block.first(x)))
    nn.init.zeros_(block.second.conv.weight)
    assert torch.allclose(block(x), x, atol=1e-5)
    assert (block(x) < 0).any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["none", "layer", "batch", "spectral"])
def test_every_linear_block(norm: str, activation: str) -> None:
    block = LinearBlock(3, 5, norm=norm, activation=activation)
    out = block(torch.randn(4, 3))
    assert out.shape == (4, 5)
    out.square().sum().backward()
    assert all(p.grad is not None for p in block.parameters())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="activation 'gelu' is not one of relu, lrelu"):
        ConvBlock(3, 4, 3, activation="gelu")
    with pytest.raises(ValueError, match="padding 'same'"):
        ConvBlock(3, 4, 3, padding="same")
    with pytest.raises(ValueError, match="norm 'instance'"):
        LinearBlock(3, 4, norm="instance")


# ---- a convolution of the doubled image ------------------------------------------------------------------------------


class Doubling(ConvBlock):
    """What DoubledConvBlock computes, as one would write it."""

    def forward(self, x, affine=None):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"), affine)


def pair(padding, norm="none"):
    """A block, and one with the same weights that doubles first."""
    torch.manual_seed(0)
    block = DoubledConvBlock(3, 4, norm=norm, activation="none", padding=padding).double()
    plain = Doubling(3, 4, 5, 1, 2, norm=norm, activation="none", padding=padding).double()
    plain.load_state_dict(block.state_dict())
    return block, plain


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("size", [(2, 2), (2, 7), (5, 4), (3, 3)])
@pytest.mark.parametrize("chosen", [torch.Tensor, OfCuda], ids=["cpu", "as on cuda"])
def test_values_and_gradients_are_those_of_doubling_first(padding, size, chosen):
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 4, 2 * size[0], 2 * size[1], dtype=torch.float64)
    (found, gradients), (wanted, wanted_gradients) = (
        (y := network(x.as_subclass(chosen)), torch.autograd.grad(y, (x, *network.conv.parameters()), upstream))
        for network in pair(padding)
    )
    for one, other in zip((found, *gradients), (wanted, *wanted_gradients), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_spectral_norm_is_of_the_large_filter():
    block, plain = (network.eval() for network in pair("reflect", "spectral"))
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(block(x), plain(x), rtol=1e-10, atol=1e-12)


def test_reflection_needs_two_pixels_as_it_does_after_doubling():
    block, plain = pair("reflect")
    for network in (block, plain):
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            network(torch.randn(1, 3, 1, 4, dtype=torch.float64))


@pytest.mark.parametrize("chosen", [torch.Tensor, OfCuda], ids=["cpu", "as on cuda"])
def test_bfloat16_sums_taps_in_full_precision(chosen):
    torch.manual_seed(0)
    block = DoubledConvBlock(8, 8, activation="none")
    x = torch.randn(1, 8, 6, 6)
    wanted = block(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = block(x.as_subclass(chosen)).as_subclass(torch.Tensor)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=2e-2, atol=2e-2)
