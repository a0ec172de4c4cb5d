"""Patch and pixel discriminators: shapes, what a logit sees, features, scales, errors."""

from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor, nn
from torch.nn import functional as F

PatchGan, Pixel = CATALOG.discriminators.get("patchgan"), CATALOG.discriminators.get("pixel")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def image(side: int = 64, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


# ---- shapes and sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "side"), [(1, 126), (2, 62), (3, 30), (4, 14), (5, 6)])
def test_the_map_of_a_256_pixel_image(layers: int, side: int) -> None:
    assert PatchGan(width=2, layers=layers)(image(256)).shape == (2, 1, side, side)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_logit_sees_a_patch_of_the_documented_width(layers: int, field: int) -> None:
    """Measured as the pixels that its gradient reaches; without a norm, which would see the whole image."""
    network = PatchGan(width=2, layers=layers, norm="none", init="kaiming").double()
    x = torch.rand(1, 3, 384, 384, dtype=torch.float64, requires_grad=True)
    logits = network(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    for dim in (0, 1):
        reached = x.grad[0].abs().sum(0).sum(dim).nonzero().flatten()
        assert reached[-1] - reached[0] + 1 == field
        assert len(reached) == field


def test_scales_see_ever_smaller_images() -> None:
    network = PatchGan(width=8, scales=3).double().eval()
    x = image(256).double()
    logits = network(x)
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 30, 30), (2, 1, 14, 14), (2, 1, 6, 6)]
    assert [blocks[0].conv.out_channels for blocks in network.scales] == [8, 4, 2]
    one = PatchGan(width=4).double().eval()
    one.scales[0].load_state_dict(network.scales[1].state_dict())
    half = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert torch.allclose(one(half), logits[1], rtol=1e-12, atol=1e-14)


def test_scales_of_equal_width() -> None:
    network = PatchGan(width=8, scales=2, narrowing=False)
    assert [blocks[0].conv.out_channels for blocks in network.scales] == [8, 8]


PUBLISHED = [  # parameters of the specification's variants
    (2_764_737, PatchGan, {}),
    (2_768_705, PatchGan, {"channels": 6, "norm": "batch", "bias": False}),
    (11_159_361, PatchGan, {"channels": 6, "norm": "batch", "bias": False, "layers": 5}),
    (3_458_978, PatchGan, {"scales": 2}),
    (3_463_586, PatchGan, {"scales": 2, "channels": 6}),
    (830_626, PatchGan, {"scales": 2, "layers": 2}),
    (8_705, Pixel, {}),
    (9_024, Pixel, {"channels": 6, "norm": "batch", "bias": False}),
]


@pytest.mark.parametrize(("count", "make", "options"), PUBLISHED)
def test_parameters_are_as_many_as_in_the_published_networks(count: int, make: Any, options: dict[str, Any]) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in make(**options).parameters()) == count


# ---- the computation itself ----------------------------------------------------------------------------------------


def test_by_hand() -> None:
    network = PatchGan(width=4, layers=2, init="kaiming").double()
    h = image().double()
    blocks = list(network.scales[0])
    assert len(blocks) == 4
    for index, (block, stride) in enumerate(zip(blocks, (2, 2, 1, 1), strict=True)):
        h = F.conv2d(h, block.conv.weight, block.conv.bias, stride, padding=1)
        h = F.instance_norm(h) if index in (1, 2) else h
        h = F.leaky_relu(h, 0.2) if index < 3 else h
    assert torch.allclose(network(image().double()), h, rtol=1e-12, atol=1e-14)


def test_a_pixel_is_judged_by_itself() -> None:
    network = Pixel(width=4, norm="none").double()
    x = image(8).double()
    logits = network(x)
    assert logits.shape == (2, 1, 8, 8)
    assert torch.allclose(network(x.flip(2).transpose(2, 3)), logits.flip(2).transpose(2, 3), rtol=1e-12, atol=1e-14)
    x[:, :, 3, 5] += 1
    changed = (network(x) != logits).nonzero()
    assert changed.tolist() == [[0, 0, 3, 5], [1, 0, 3, 5]]


def test_features_are_what_the_last_convolution_of_each_scale_stands_on() -> None:
    network = PatchGan(width=8, layers=3, scales=2).eval()
    features, logits = network.features(image()), network(image())
    assert [tuple(f.shape[1:]) for f in features] == [
        (8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 7, 7), (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 3, 3),
    ]  # fmt: skip
    for scale, last in ((0, features[3]), (1, features[7])):
        assert torch.equal(network.scales[scale][-1](last), logits[scale])
    pixel = Pixel(width=4)
    features = pixel.features(image())
    assert [f.shape[1] for f in features] == [4, 8]
    assert torch.equal(pixel.blocks[-1](features[-1]), pixel(image()))


# ---- channels, norms, biases, errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [PatchGan, Pixel])
@pytest.mark.parametrize(("channels", "shown"), [(1, 3), (4, 6)])
def test_two_channels_fewer_see_the_first_image_in_grey(make: Any, channels: int, shown: int) -> None:
    network = make(width=4, channels=channels).double()
    x = image(channels=shown).double()
    grey = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
    assert torch.allclose(network(x), network(torch.cat([grey, x[:, 3:]], dim=1)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [PatchGan, Pixel])
def test_other_numbers_of_channels_are_an_error(make: Any) -> None:
    with pytest.raises(ValueError, match="the network has channels 6, what it is shown has 3"):
        make(width=4, channels=6)(image())


def test_where_norms_and_biases_are() -> None:
    blocks = PatchGan(width=4, norm="batch", bias=False).scales[0]
    assert [isinstance(block.norm, nn.BatchNorm2d) for block in blocks] == [False, True, True, True, False]
    assert [block.conv.bias is not None for block in blocks] == [True, False, False, False, True]
    pixel = Pixel(width=4, norm="batch", bias=False).blocks
    assert [isinstance(block.norm, nn.BatchNorm2d) for block in pixel] == [False, True, False]
    assert [block.conv.bias is not None for block in pixel] == [True, False, False]


def test_widths_grow_up_to_eightfold() -> None:
    blocks = PatchGan(width=4, layers=5).scales[0]
    assert [block.conv.out_channels for block in blocks] == [4, 8, 16, 32, 32, 32, 1]
    assert [block.conv.stride[0] for block in blocks] == [2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("options", [{"layers": 0}, {"scales": 0}])
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="layers and scales are at least 1"):
        PatchGan(**options)
