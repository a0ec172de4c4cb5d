"""Gradients and second gradients of every layer are those of its formula, however tensors lie in memory."""

import copy
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
import torch
from of_cuda import OfCuda
from torch import Tensor, nn

import i2i_forge.nn
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.nn import (
    AffineInstanceNorm,
    Augmentation,
    ConditionalInstanceNorm,
    ConvBlock,
    DoubledConvBlock,
    InstanceNorm,
    LayerNorm,
    LinearBlock,
    Pad,
    ResidualBlock,
    adain,
    as_channels,
    grey,
)

EPS = 1e-5
CHANNELS, SIDES = 4, (7, 6)
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.1}  # relative; a wrong backward is off by 1.4
LAYOUTS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.contiguous(),
    lambda x: x.contiguous(memory_format=torch.channels_last),
    lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
)


def normalised(x: Tensor, dims: Sequence[int] = (2, 3), correction: int = 0) -> Tensor:
    variance = x.var(dims, keepdim=True, correction=correction)
    return (x - x.mean(dims, keepdim=True)) / (variance + EPS).sqrt()


def by_channel(y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return y * scale[..., None, None] + shift[..., None, None]


def layer_norm(x: Tensor, norm: LayerNorm) -> Tensor:
    dims, shape = tuple(range(1, x.dim())), (-1, *[1] * (x.dim() - 2))
    y = (x - x.mean(dims, keepdim=True)) / (x.std(dims, keepdim=True) + EPS)
    return y * norm.gamma.view(shape) + norm.beta.view(shape)


def adaptive(x: Tensor, _: nn.Module | None, affine: Tensor) -> Tensor:
    shift, scale = affine.chunk(2, dim=1)
    return by_channel(normalised(x), scale, shift)


def conditional(x: Tensor, norm: ConditionalInstanceNorm, code: Tensor) -> Tensor:
    scale, shift = ((code @ linear.weight.T + linear.bias).relu() for linear in (norm.scale, norm.shift))
    return by_channel(normalised(x, correction=1), scale, shift)


def padded(x: Tensor, size: int, mode: str) -> Tensor:
    for dim in (2, 3):
        last = x.shape[dim] - 1
        places = torch.arange(-size, last + size + 1)
        inside = ((places >= 0) & (places <= last)).to(x.dtype)
        places = last - (last - places.abs()).abs() if mode == "reflect" else places.clamp(0, last)
        x = x.index_select(dim, places)
        x = x * inside.view(*[-1 if d == dim else 1 for d in range(4)]) if mode == "zero" else x
    return x


def finished(x: Tensor, block: ConvBlock | LinearBlock, affine: Tensor | None = None) -> Tensor:
    """The norm of a block, then tanh if it has an activation."""
    match block.norm:
        case InstanceNorm():
            x = normalised(x)
        case LayerNorm():
            x = layer_norm(x, block.norm)
        case nn.BatchNorm2d():
            x = by_channel(normalised(x, (0, 2, 3)), block.norm.weight, block.norm.bias)
    x = x if affine is None else adaptive(x, None, affine)
    return x if block.activation is None else x.tanh()


def conv_block(x: Tensor, block: ConvBlock, affine: Tensor | None = None, padding: str = "reflect") -> Tensor:
    """The convolution tap by tap."""
    weight, bias = block.conv.weight, block.conv.bias
    k, stride = weight.shape[-1], block.conv.stride[0]
    x = padded(x, k // 2, padding)
    h, w = x.shape[2] - k + 1, x.shape[3] - k + 1
    taps = [torch.einsum("nihw,oi->nohw", x[:, :, i : i + h, j : j + w], weight[:, :, i, j])
            for i in range(k) for j in range(k)]  # fmt: skip
    return finished((torch.stack(taps).sum(0) + bias[:, None, None])[:, :, ::stride, ::stride], block, affine)


def doubled(x: Tensor, block: DoubledConvBlock, affine: Tensor | None = None) -> Tensor:
    return conv_block(x.repeat_interleave(2, 2).repeat_interleave(2, 3), block, affine, block.padding)


class Two(ResidualBlock):
    """Takes its two affine maps one by one."""

    def forward(self, x: Tensor, *affine: Tensor) -> Tensor:
        return super().forward(x, affine or None)


def residual(x: Tensor, block: Two, one: Tensor | None = None, two: Tensor | None = None) -> Tensor:
    return x + conv_block(conv_block(x, block.first, one), block.second, two)


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.forward = function


class OfMeans(LinearBlock):
    """A linear block of the mean colours."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mean((2, 3)))


def linear_block(x: Tensor, block: OfMeans) -> Tensor:
    return finished(x.mean((2, 3)) @ block.linear.weight.T + block.linear.bias, block)


def augmented(x: Tensor, *_: nn.Module) -> Tensor:
    """Its own formula: what it is for contiguous float64."""
    with seeded(3, torch.device("cpu")):
        return torch.cat([Augmentation(("color", "translation", "cutout"))(x[:, :3]), x[:, 3:]], 1)


def in_grey(x: Tensor, _: nn.Module) -> Tensor:
    return torch.cat([0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3], x[:, 3:]], 1)


def layers() -> dict[str, tuple[nn.Module, Callable[..., Tensor], int]]:
    """Name -> a layer, its formula of (x, layer, further ...), how many further inputs N,2C it takes."""
    c, conditioned = CHANNELS, ConditionalInstanceNorm(CHANNELS, 2 * CHANNELS)
    made: dict[str, tuple[nn.Module, Callable[..., Tensor], int]] = {
        "InstanceNorm": (InstanceNorm(), lambda x, _: normalised(x), 0),
        "LayerNorm": (LayerNorm(c), layer_norm, 0),
        "adain": (Function(adain), adaptive, 1),
        "AffineInstanceNorm": (
            AffineInstanceNorm(c, std=1), lambda x, norm: by_channel(normalised(x), norm.scale, norm.shift), 0,
        ),
        "ConditionalInstanceNorm": (conditioned, conditional, 1),
        "ConditionalInstanceNorm eval": (copy.deepcopy(conditioned).eval(), conditional, 1),
        "LinearBlock": (OfMeans(c, 5, norm="layer", activation="tanh"), linear_block, 0),
        "as_channels": (Function(lambda x: as_channels(x, c - 2)), in_grey, 0),
        "grey": (Function(lambda x: torch.cat([grey(x[:, :3]), x[:, 3:]], 1)), in_grey, 0),
        "Augmentation": (Function(augmented), augmented, 0),
    }  # fmt: skip
    for mode in ("reflect", "replicate", "zero"):
        made[f"Pad {mode}"] = Pad(2, mode), lambda x, pad: padded(x, pad.size, pad.mode), 0
        made[f"DoubledConvBlock {mode}"] = DoubledConvBlock(c, c, padding=mode, activation="tanh"), doubled, 0
    for norm in ("none", "instance", "layer", "batch", "adain"):
        maps = int(norm == "adain")
        made[f"ConvBlock {norm}"] = ConvBlock(c, c, 3, 2, 1, norm=norm, activation="tanh"), conv_block, maps
        made[f"DoubledConvBlock {norm}"] = DoubledConvBlock(c, c, norm=norm, activation="tanh"), doubled, maps
        made[f"ResidualBlock {norm}"] = Two(c, norm=norm, activation="tanh", padding="reflect"), residual, 2 * maps
    return made


with seeded(0, torch.device("cpu")):
    LAYERS = layers()


def has_second_gradient_of_grid_sample() -> bool:
    """That of the oldest torch has none."""
    x, grid = torch.ones(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, 1, 2)
    with suppress(RuntimeError):
        (first,) = torch.autograd.grad(
            torch.nn.functional.grid_sample(x, grid, align_corners=False).square().sum(), x, create_graph=True
        )
        torch.autograd.grad(first.sum(), x)
        return True
    return False


def drawn(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Values that bfloat16 holds exactly."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.bfloat16().to(dtype)


def gradients(
    function: Callable[..., Tensor], x: Tensor, others: list[Tensor], lay: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """The output, its gradients, and those of the gradient of x, as a gradient penalty needs them."""
    x = x.detach().requires_grad_()
    y = function(x)
    incoming = drawn(*y.shape, seed=1, dtype=y.dtype)
    incoming = (lay(incoming) if y.dim() == 4 else incoming).requires_grad_()
    first = torch.autograd.grad(y, [x, *others], incoming, create_graph=True)
    again = lay(drawn(*x.shape, seed=2, dtype=x.dtype))
    second = torch.autograd.grad(first[0], [x, incoming, *others], again, allow_unused=True)
    return [torch.zeros(()) if value is None else value.detach().double() for value in (y, *first, *second)]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("chosen", [Tensor, OfCuda], ids=["cpu", "as on cuda"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_the_formula(name: str, chosen: type[Tensor], count: int, dtype: torch.dtype) -> None:
    if name == "Augmentation" and not has_second_gradient_of_grid_sample():
        pytest.skip("this torch cannot differentiate grid_sample twice")
    first, formula, maps = LAYERS[name]
    layer = copy.deepcopy(first).bfloat16().to(dtype)
    x = drawn(count, CHANNELS, *SIDES, seed=0, dtype=dtype)
    further = [drawn(count, 2 * CHANNELS, seed=7 + i, dtype=dtype).requires_grad_() for i in range(maps)]
    exact, codes = copy.deepcopy(layer).double(), [v.detach().double().requires_grad_() for v in further]
    wanted = gradients(lambda x: formula(x, exact, *codes), x.double(), [*exact.parameters(), *codes], LAYOUTS[0])
    for given, incoming in itertools.product(LAYOUTS, LAYOUTS):
        found = gradients(
            lambda x: layer(x.as_subclass(chosen), *further), given(x), [*layer.parameters(), *further], incoming
        )
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            size = float(other.norm())
            size = size if size > 1e-9 else 10  # a bias before a norm has no gradient but rounding
            assert float((one - other).norm()) <= TOLERANCE[dtype] * size, place


def test_every_layer_that_has_a_gradient_is_tested() -> None:
    assert {name.split()[0] for name in LAYERS} == set(i2i_forge.nn.__all__) - {"ImagePool", "initialize", "norm_layer"}
