import math

import pytest
import torch
from torch import nn

from i2i_forge.nn import ConvBlock, LayerNorm, initialize

EXPECTED = {  # of a convolution with 32 inputs, 64 outputs, kernel 3
    "kaiming": math.sqrt(2 / (32 * 9)),
    "gaussian": 0.02,
    "xavier": math.sqrt(2) * math.sqrt(2 / (32 * 9 + 64 * 9)),
    "orthogonal": math.sqrt(2) / math.sqrt(32 * 9),
    "default": 1 / math.sqrt(3 * 32 * 9),
}


@pytest.mark.parametrize("norm", ["none", "spectral"])
@pytest.mark.parametrize("scheme", EXPECTED)
def test_scale_of_every_scheme_and_zero_biases(scheme: str, norm: str) -> None:
    torch.manual_seed(1)
    block = ConvBlock(32, 64, 3, norm=norm)
    before = (block.conv.parametrizations.weight.original if norm == "spectral" else block.conv.weight).clone()
    assert block.conv.bias.any()
    initialize(block, scheme)
    weight = block.conv.parametrizations.weight.original if norm == "spectral" else block.conv.weight
    assert weight.std().item() == pytest.approx(EXPECTED[scheme], rel=0.05)
    assert abs(weight.mean().item()) < 0.1 * EXPECTED[scheme]
    assert not block.conv.bias.any()
    assert torch.equal(weight, before) == (scheme == "default")
    if scheme == "orthogonal":
        gram = weight.flatten(1) @ weight.flatten(1).T
        assert torch.allclose(gram, 2 * torch.eye(64), atol=1e-4)


def test_linear_layers_too_and_nothing_else() -> None:
    network = nn.Sequential(nn.Linear(256, 128), nn.BatchNorm1d(128), nn.PReLU(), LayerNorm(128))
    for module in network[1:]:
        for parameter in module.parameters():
            nn.init.constant_(parameter, 0.7)
    initialize(network, "kaiming")
    assert network[0].weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    assert not network[0].bias.any()
    assert all(torch.equal(p, torch.full_like(p, 0.7)) for module in network[1:] for p in module.parameters())


def test_a_layer_without_bias_and_the_device_meta() -> None:
    initialize(nn.Linear(3, 4, bias=False), "xavier")
    with torch.device("meta"):
        for scheme in EXPECTED:
            initialize(nn.Conv2d(3, 4, 3), scheme)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="init 'normal' is not one of kaiming, gaussian"):
        initialize(nn.Linear(2, 2), "normal")


@pytest.mark.parametrize("scheme", EXPECTED)
def test_a_gain_takes_the_place_of_the_schemes_own(scheme: str) -> None:
    """In units of each scheme: gaussian's own is 0.02, that of xavier and orthogonal sqrt 2; the others have none."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(512))
    initialize(network, scheme, gain=0.1)
    factor = {"gaussian": 0.1 / 0.02, "xavier": 0.1 / math.sqrt(2), "orthogonal": 0.1 / math.sqrt(2)}.get(scheme, 1)
    assert network[0].weight.std().item() == pytest.approx(factor * EXPECTED[scheme], rel=0.05)
    assert network[1].weight.mean().item() == pytest.approx(1, abs=0.02)
    assert network[1].weight.std().item() == pytest.approx(0.1, rel=0.2)
    assert not network[1].bias.any()


def test_without_a_gain_batch_norms_are_left_alone() -> None:
    norm = nn.BatchNorm2d(4)
    nn.init.constant_(norm.bias, 0.7)
    initialize(nn.Sequential(norm), "gaussian")
    assert torch.equal(norm.weight, torch.ones(4))
    assert torch.equal(norm.bias, torch.full((4,), 0.7))
