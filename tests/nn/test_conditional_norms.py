"""Instance norms with an affine map: of their own, or of a code."""

import math

import pytest
import torch
from torch import Tensor, nn

from i2i_forge.nn import AffineInstanceNorm, ConditionalInstanceNorm


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 7


def naive(x: Tensor, scale: Tensor, shift: Tensor, *, unbiased: bool) -> Tensor:
    """Number by number. scale, shift: N,C."""
    out = torch.empty_like(x)
    for n in range(len(x)):
        for c in range(x.shape[1]):
            values = x[n, c].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - unbiased)
            out[n, c] = (x[n, c] - mean) / math.sqrt(variance + 1e-5) * scale[n, c] + shift[n, c]
    return out


def drawn(norm: nn.Module) -> nn.Module:
    for index, parameter in enumerate(norm.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))
    return norm.double()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 2)])
@pytest.mark.parametrize("spread", [1.0, 1e-3])  # the smaller one makes eps count
def test_the_affine_norm_divides_by_the_biased_deviation(shape: tuple[int, ...], spread: float) -> None:
    norm, x = drawn(AffineInstanceNorm(shape[1])), images(*shape) * spread
    scale, shift = (value.expand(shape[:2]) for value in (norm.scale, norm.shift))
    assert torch.allclose(norm(x), naive(x, scale, shift, unbiased=False), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 2)])
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_the_conditional_norm_divides_by_the_unbiased_one(shape: tuple[int, ...], spread: float) -> None:
    norm, x, code = drawn(ConditionalInstanceNorm(shape[1], 4)), images(*shape) * spread, images(shape[0], 4) - 7
    scale, shift = norm.scale(code).relu(), norm.shift(code).relu()
    assert torch.allclose(norm(x, code), naive(x, scale, shift, unbiased=True), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(norm(x, code), naive(x, scale, shift, unbiased=False), rtol=1e-3)


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


def test_gradients_are_those_of_differences() -> None:
    x, code = images(2, 2, 3, 3).requires_grad_(), images(2, 4).requires_grad_()
    for norm, given in ((drawn(AffineInstanceNorm(2)), (x,)), (drawn(ConditionalInstanceNorm(2, 4)), (x, code))):
        assert torch.autograd.gradcheck(norm, given)


@pytest.mark.parametrize("norm", [AffineInstanceNorm(3), ConditionalInstanceNorm(3, 4)], ids=["affine", "conditional"])
def test_they_take_bfloat16_and_refuse_a_single_pixel(norm: nn.Module) -> None:
    codes = [images(2, 4).float()] if isinstance(norm, ConditionalInstanceNorm) else []
    x = images(2, 3, 8, 8).float()
    out = norm(x.bfloat16(), *codes)
    assert out.dtype == torch.bfloat16
    exact = norm(x, *codes)
    assert (out - exact).abs().max() <= 0.03 * exact.abs().max()  # bf16 keeps 8 bits
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        norm(x[:, :, :1, :1], *codes)


def test_the_conditional_norm_is_the_same_in_both_modes() -> None:
    norm = ConditionalInstanceNorm(3, 4).double()
    x, code = images(2, 3, 8, 6), images(2, 4)
    torch.testing.assert_close(norm.train()(x, code), norm.eval()(x, code), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        norm(x[:, :, :1, :1], code)
