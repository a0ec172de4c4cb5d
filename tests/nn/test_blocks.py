from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i_forge.nn import ConvBlock, LinearBlock, ResidualBlock, adain

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


def test_a_residual_block_hands_each_part_its_map() -> None:
    block = ResidualBlock(4, norm="adain", activation="relu", padding="zero")
    x, maps = torch.randn(2, 4, 6, 6), (torch.randn(2, 8), torch.randn(2, 8))
    assert torch.equal(block(x, maps), x + block.second(block.first(x, maps[0]), maps[1]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["none", "layer", "batch", "spectral"])
def test_every_linear_block(norm: str, activation: str) -> None:
    block = LinearBlock(3, 5, norm=norm, activation=activation)
    out = block(torch.randn(4, 3))
    assert out.shape == (4, 5)
    out.square().sum().backward()
    assert all(p.grad is not None for p in block.parameters())


@pytest.mark.parametrize("norm", NORMS)
def test_blocks_take_channels_last(norm: str) -> None:
    block = ConvBlock(3, 4, 3, 1, 1, norm=norm).eval()
    affine = torch.randn(2, 8) if norm == "adain" else None
    x = torch.randn(2, 3, 8, 8)
    last = block.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), affine)
    assert torch.allclose(last, block(x, affine), atol=1e-5)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="activation 'gelu' is not one of relu, lrelu"):
        ConvBlock(3, 4, 3, activation="gelu")
    with pytest.raises(ValueError, match="padding 'same'"):
        ConvBlock(3, 4, 3, padding="same")
    with pytest.raises(ValueError, match="norm 'instance'"):
        LinearBlock(3, 4, norm="instance")
