"""What `test_memory_formats` leaves open: its formulas are those of every norm."""

from collections.abc import Callable

import pytest
import torch
from of_cuda import OfCuda
from torch import Tensor, nn

from i2i_forge.nn import AffineInstanceNorm, ConditionalInstanceNorm, InstanceNorm, LayerNorm, adain
from i2i_forge.nn.norms import norm_layer


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


def test_layer_norms_statistics_are_not_summed_in_bfloat16() -> None:
    """A sum of 65536 ones in bfloat16 stops at 256."""
    x = (torch.randn(1, 4, 128, 128) + 100).bfloat16()
    out = LayerNorm(4)(x)
    assert abs(out.float().mean().item()) < 0.1


def test_an_instance_norm_has_no_state() -> None:
    norm, x = InstanceNorm(), torch.randn(2, 3, 4, 5)
    assert not list(norm.state_dict())
    assert torch.equal(norm.eval()(x), norm.train()(x))


def test_an_activation_in_place_behind_a_norm_changes_no_view() -> None:
    """Of a view, torch's backward copies the whole gradient three times."""
    norm, x = InstanceNorm(), torch.randn(2, 3, 4, 5, requires_grad=True)
    assert not norm(x)._is_view()
    with torch.no_grad():
        wanted = norm(x).relu()
    assert torch.equal(norm(x).relu_(), wanted)


@pytest.mark.parametrize("norm", [LayerNorm(3), InstanceNorm()], ids=["layer", "instance"])
def test_norms_keep_bfloat16(norm: nn.Module) -> None:
    assert norm(torch.randn(2, 3, 8, 8).bfloat16()).dtype == torch.bfloat16


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


# ---- with an affine map of their own, or of a code -------------------------------------------------------------------


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 7


def drawn(norm: nn.Module) -> nn.Module:
    for index, parameter in enumerate(norm.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))
    return norm.double()


def test_scale_and_shift_of_a_code_are_never_negative() -> None:
    norm = drawn(ConditionalInstanceNorm(2, 1))
    with torch.no_grad():
        for linear in (norm.scale, norm.shift):
            linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            linear.bias.zero_()
    x = images(1, 2, 4, 4)
    one, other = norm(x, torch.ones(1, 1).double()), norm(x, -torch.ones(1, 1).double())
    assert abs(one[:, 0].mean().item() - 1) < 1e-9
    assert not one[:, 1].any()
    assert not other[:, 0].any()
    assert abs(other[:, 1].mean().item() - 1) < 1e-9


def test_one_image_takes_many_codes() -> None:
    norm, x, codes = drawn(ConditionalInstanceNorm(3, 4)), images(1, 3, 4, 4), images(5, 4)
    together = norm(x, codes)
    assert together.shape == (5, 3, 4, 4)
    for index in range(5):
        assert torch.allclose(together[index : index + 1], norm(x, codes[index : index + 1]), rtol=1e-12)


def test_the_affine_norm_begins_small() -> None:
    norm = AffineInstanceNorm(10_000)
    assert abs(norm.scale.mean().item()) < 0.002
    assert abs(norm.scale.std().item() - 0.02) < 0.001
    assert not norm.shift.any()
    assert [name for name, _ in norm.named_parameters()] == ["scale", "shift"]
    assert AffineInstanceNorm(10_000, std=0.5).scale.std() > 0.4


@pytest.mark.parametrize(
    "norm", [AffineInstanceNorm(3), ConditionalInstanceNorm(3, 4), ConditionalInstanceNorm(3, 4).eval()]
)
def test_they_keep_bfloat16_and_refuse_a_single_pixel(norm: nn.Module) -> None:
    codes = [images(2, 4).float()] if isinstance(norm, ConditionalInstanceNorm) else []
    assert norm(images(2, 3, 8, 8).bfloat16(), *codes).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        norm(images(2, 3, 1, 1).float(), *codes)


# ---- on CUDA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [InstanceNorm(), AffineInstanceNorm(3, std=1), lambda x: adain(x, torch.ones(1, 6))])
def test_on_cuda_one_image_keeps_its_memory_format(norm: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    found = norm(x.as_subclass(OfCuda)).as_subclass(Tensor)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, norm(x), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_on_cuda_one_content_takes_many_maps(channels: int) -> None:
    x, affine = torch.randn(1, channels, 4, 4, requires_grad=True), torch.randn(5, 2 * channels)
    assert torch.allclose(adain(x.as_subclass(OfCuda), affine), adain(x, affine), atol=1e-6)
