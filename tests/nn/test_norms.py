import math

import pytest
import torch
from torch import Tensor, nn

from i2i_forge.nn import InstanceNorm, LayerNorm, adain
from i2i_forge.nn.norms import norm_layer


def naive_layer_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Specification 1.6, number by number: unbiased std, eps outside the root."""
    out = torch.empty_like(x)
    for n in range(len(x)):
        values = x[n].flatten().tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        for c in range(x.shape[1]):
            out[n, c] = (x[n, c] - mean) / (std + 1e-5) * gamma[c] + beta[c]
    return out


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (3, 2, 3, 3), (2, 6)])
def test_layer_norm_is_the_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = LayerNorm(shape[1]).double()
    nn.init.normal_(norm.beta)
    x = torch.randn(shape, dtype=torch.float64) * 3 + 7
    assert torch.allclose(norm(x), naive_layer_norm(x, norm.gamma, norm.beta), rtol=1e-12)


def test_layer_norm_is_not_group_norm() -> None:
    x = torch.randn(2, 3, 2, 2)
    norm = LayerNorm(3)
    group = nn.functional.group_norm(x, 1, norm.gamma, norm.beta)
    assert (norm(x) - group).abs().max() > 1e-4


def test_layer_norm_begins_uniform_in_zero_one() -> None:
    norm = LayerNorm(10_000)
    assert 0 <= norm.gamma.min() < 0.01
    assert 0.99 < norm.gamma.max() < 1
    assert abs(norm.gamma.mean().item() - 0.5) < 0.02
    assert not norm.beta.any()
    assert [name for name, _ in norm.named_parameters()] == ["gamma", "beta"]


def test_layer_norm_of_a_constant_image_is_finite_with_its_gradient() -> None:
    x = torch.zeros(1, 2, 4, 4, requires_grad=True)
    norm = LayerNorm(2)
    out = norm(x)
    assert torch.equal(out, torch.zeros_like(out))
    out.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("layer", [LayerNorm(3), InstanceNorm()], ids=["layer", "instance"])
def test_norms_take_channels_last_and_bfloat16(layer: nn.Module) -> None:
    x = torch.randn(2, 3, 8, 8)
    expected = layer(x)
    last = layer(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(last, expected, atol=1e-6)
    half = layer(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), layer(x.bfloat16().float()), atol=0.02)


def test_layer_norms_statistics_are_not_summed_in_bfloat16() -> None:
    """A sum of 65536 ones in bfloat16 stops at 256."""
    x = (torch.randn(1, 4, 128, 128) + 100).bfloat16()
    out = LayerNorm(4)(x)
    assert abs(out.float().mean().item()) < 0.1


def test_instance_norm_is_the_formula() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64) * 2 + 5
    centred = x - x.mean((2, 3), keepdim=True)
    expected = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    norm = InstanceNorm()
    assert torch.allclose(norm(x), expected, rtol=1e-10)
    assert torch.equal(norm.eval()(x), norm.train()(x))
    assert not list(norm.state_dict())


def test_adain_is_shift_then_scale_without_one_plus() -> None:
    x, affine = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    shift, scale = affine[:, :3, None, None], affine[:, 3:, None, None]
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    assert torch.allclose(adain(x, affine), (x - mean) / (variance + 1e-5).sqrt() * scale + shift, rtol=1e-10)
    assert not adain(x, torch.zeros(2, 6, dtype=torch.float64)).any()


def test_adain_broadcasts_one_content_over_many_styles() -> None:
    x, affine = torch.randn(1, 3, 4, 4), torch.randn(5, 6)
    together = adain(x, affine)
    assert together.shape == (5, 3, 4, 4)
    for index in range(5):
        assert torch.equal(together[index : index + 1], adain(x, affine[index : index + 1]))


@pytest.mark.parametrize("kind", ["none", "layer", "batch", "spectral"])
def test_norms_for_vectors(kind: str) -> None:
    layer = norm_layer(kind, 6, dims=0)
    if layer is not None:
        assert layer(torch.randn(4, 6)).shape == (4, 6)


def test_unknown_norms_are_refused() -> None:
    with pytest.raises(ValueError, match="norm 'group' is not one of none, instance, layer, batch, spectral"):
        norm_layer("group", 4)
    with pytest.raises(ValueError, match="norm 'instance' is not one of none, layer, batch, spectral"):
        norm_layer("instance", 4, dims=0)
