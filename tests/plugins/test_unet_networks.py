"""U-Nets: shapes, where the code enters, where dropout and norms are, one image with many codes, errors."""

from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge_plugins.unet_networks import doubled

Encoder, Decoder = CATALOG.encoders.get("unet"), CATALOG.decoders.get("unet")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def image(side: int = 64, count: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1).to(dtype)


def unet(levels: int = 5, decoder: dict[str, Any] | None = None, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Both halves in float64 and eval mode, with weights large enough to show effects through all levels."""
    common = {"width": 4, "levels": levels, "norm": "instance", "init": "kaiming"}
    pair = Encoder(**common | options).double().eval(), Decoder(**common | (decoder or {})).double().eval()
    for module in (m for network in pair for m in network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.normal_(module.bias, 0, 0.1)
    return pair


# ---- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("levels", "side"), [(3, 8), (4, 48), (5, 64), (6, 64), (7, 128), (8, 256)])
@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
def test_levels_halve_and_double(levels: int, side: int, upsample: str) -> None:
    encoder, decoder = Encoder(width=4, levels=levels), Decoder(width=4, levels=levels, upsample=upsample)
    features = encoder(image(side, 2).float())
    widths = [4 * min(2**level, 8) for level in range(levels)]
    assert [tuple(f.shape) for f in features] == [
        (2, w, side >> k + 1, side >> k + 1) for k, w in enumerate(widths)
    ]  # fmt: skip
    translation = decoder(features)
    assert translation.shape == (2, 3, side, side)
    assert translation.abs().max() <= 1
    assert encoder.stride == 2**levels
    assert encoder.code_dim == 0


PUBLISHED = [  # parameters of the specification's variants
    (54_413_955, {"bias": False, "norm": "batch"}, {"bias": False, "norm": "batch"}),
    (54_409_603, {"norm": "instance"}, {"norm": "instance"}),
    (54_404_099, {"norm": "none", "bias": False}, {"norm": "none", "bias": False}),
    (41_828_995, {"bias": False, "levels": 7}, {"bias": False, "levels": 7}),
    (54_794_627, {"norm": "instance", "code_dim": 8}, {"norm": "instance"}),
    (54_792_579, {"norm": "instance", "code_dim": 8, "channels": 1}, {"norm": "instance"}),
    (54_417_795, {"norm": "instance", "code_dim": 8, "code_at": "input"}, {"norm": "instance"}),
    (39_538_435, {"norm": "instance", "code_dim": 8}, {"norm": "instance", "upsample": "bilinear"}),
    (54_804_483, {"code_dim": 8}, {}),
]


@pytest.mark.parametrize(("count", "encoder", "decoder"), PUBLISHED)
def test_parameters_are_as_many_as_in_the_published_networks(
    count: int, encoder: dict[str, Any], decoder: dict[str, Any]
) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for n in (Encoder(**encoder), Decoder(**decoder)) for p in n.parameters()) == count


def test_sides_that_do_not_fit_are_named() -> None:
    encoder = Encoder(width=4, levels=5)
    with pytest.raises(ValueError, match=r"5 levels need sides that are multiples of 32, the image has 48x64"):
        encoder(torch.zeros(1, 3, 48, 64))
    assert encoder(torch.zeros(1, 3, 96, 64))[-1].shape == (1, 32, 3, 2)


# ---- the computation itself ----------------------------------------------------------------------------------------


def test_by_hand() -> None:
    """Three levels written out: activations before convolutions, skip connections after what comes from below."""
    encoder, decoder = unet(3, code_dim=2)
    x, code = image(16), torch.tensor([[1.5, -2.0]], dtype=torch.float64)

    def seen(h: Tensor) -> Tensor:
        return torch.cat([h, code[:, :, None, None].expand(-1, -1, *h.shape[2:])], dim=1)

    def down(level: int, h: Tensor) -> Tensor:
        layer = encoder.down[level].conv
        return F.conv2d(h, layer.weight, layer.bias, stride=2, padding=1)

    def up(level: int, h: Tensor) -> Tensor:
        layer = decoder.up[level].conv
        return F.conv_transpose2d(F.relu(h), layer.weight, layer.bias, stride=2, padding=1)

    h0 = down(0, seen(x))
    h1 = F.instance_norm(down(1, F.leaky_relu(seen(h0), 0.2)))
    h2 = down(2, F.leaky_relu(seen(h1), 0.2))
    u2 = F.instance_norm(up(2, h2))
    u1 = F.instance_norm(up(1, torch.cat([u2, h1], dim=1)))
    expected = torch.tanh(up(0, torch.cat([u1, h0], dim=1)))
    assert torch.allclose(decoder(encoder(x, code)), expected, rtol=1e-12, atol=1e-14)


def test_bilinear_by_hand() -> None:
    encoder, decoder = unet(3, decoder={"upsample": "bilinear"})
    features = encoder(image(16))
    x = features[-1]
    for level in (2, 1, 0):
        x = F.relu(x if level == 2 else torch.cat([x, features[level]], dim=1))
        x = F.pad(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), [1] * 4, mode="reflect")
        x = F.conv2d(x, decoder.up[level].conv.weight, decoder.up[level].conv.bias)
        x = F.instance_norm(x) if level else x.tanh()
    assert torch.allclose(decoder(features), x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 4), (1, 2, 5, 7)])
def test_doubling_is_torchs_bilinear_interpolation(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(doubled(x), expected, rtol=1e-13, atol=1e-15)


def test_one_channel_is_the_luma_of_the_image() -> None:
    encoder, _ = unet(channels=1)
    x = image()
    grey = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    for one, other in zip(encoder(x), encoder(grey[:, None]), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    first = encoder.down[0].conv
    assert torch.allclose(encoder(x)[0], F.conv2d(grey[:, None], first.weight, first.bias, 2, 1))


# ---- the code ------------------------------------------------------------------------------------------------------


INPUTS = [3, 4, 8, 16, 32]  # channels of what each level sees beside the code


@pytest.mark.parametrize("level", range(5))
def test_every_level_sees_the_code_by_itself(level: int) -> None:
    """Its columns of the weights are the last ones; here the other levels' are zero."""
    encoder, _ = unet(code_dim=3)
    for each, layer in enumerate(encoder.down):
        assert layer.conv.in_channels == INPUTS[each] + 3
        if each != level:
            layer.conv.weight.data[:, -3:] = 0
    one, other = (encoder(image(), code) for code in torch.randn(2, 1, 3, dtype=torch.float64))
    for each in range(level):
        assert torch.equal(one[each], other[each])
    for each in range(level, 5):
        assert (one[each] - other[each]).abs().max() > 1e-3


def test_the_code_at_the_input_is_seen_there_alone() -> None:
    encoder, _ = unet(code_dim=3, code_at="input")
    beside = [layer.conv.in_channels - inputs for layer, inputs in zip(encoder.down, INPUTS, strict=True)]
    assert beside == [3, 0, 0, 0, 0]
    one, other = (encoder(image(), code) for code in torch.randn(2, 1, 3, dtype=torch.float64))
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(one, other, strict=True))


def test_negative_codes_are_scaled_at_inner_levels_only() -> None:
    encoder, _ = unet(3, code_dim=1, norm="none")
    with torch.no_grad():
        for layer in encoder.down:
            layer.conv.weight[:, :-1] = 0
            layer.conv.bias.zero_()
    plus, minus = (encoder(image(16), torch.full((1, 1), value, dtype=torch.float64)) for value in (1.0, -1.0))
    assert torch.allclose(minus[0], -plus[0])
    for level in (1, 2):
        assert torch.allclose(minus[level], -0.2 * plus[level])


@pytest.mark.parametrize("code_at", ["all", "input"])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 1, 1)])
def test_one_image_meets_many_codes(code_at: str, shape: tuple[int, ...]) -> None:
    encoder, decoder = unet(code_dim=3, code_at=code_at)
    codes = torch.randn(shape, dtype=torch.float64)
    together = decoder(encoder(image(), codes))
    assert together.shape == (5, 3, 64, 64)
    for index in range(5):
        apart = decoder(encoder(image(), codes[index : index + 1]))
        assert torch.allclose(together[index : index + 1], apart, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(together[0], together[1])


def test_a_missing_code_and_one_too_many_are_errors() -> None:
    with pytest.raises(ValueError, match="code_dim is 3, but no code was given"):
        unet(code_dim=3)[0](image())
    with pytest.raises(ValueError, match="code_dim is 0, but a code was given"):
        unet()[0](image(), torch.zeros(1, 3, dtype=torch.float64))


# ---- dropout and statistics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("levels", "dropped"), [(4, 0), (5, 0), (6, 1), (7, 2), (8, 3)])
def test_dropout_is_at_the_middle_levels(levels: int, dropped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = unet(levels, decoder={"dropout": 0.5})
    seen: list[tuple[int, ...]] = []
    plain = F.dropout

    def spy(x: Tensor, p: float, training: bool) -> Tensor:
        seen.append(tuple(x.shape))
        assert p == 0.5
        return plain(x, p, training)

    monkeypatch.setattr(F, "dropout", spy)
    decoder.train()(encoder(image(256)))
    side = 256 >> levels - 2
    assert seen == [(1, 32, side << k, side << k) for k in range(dropped)]  # from the inside out, never the innermost


@pytest.mark.parametrize(("at_test", "training", "random"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)])
def test_dropout_in_training_and_at_test(at_test: int, training: int, random: int) -> None:
    encoder, decoder = unet(6, decoder={"dropout": 0.5, "dropout_at_test": bool(at_test)})
    features = encoder(image())
    decoder.train(bool(training))
    assert torch.equal(decoder(features), decoder(features)) == (not random)


def test_statistics_of_the_batch_at_test_are_those_of_training_and_change_nothing() -> None:
    options = {"norm": "batch", "statistics_at_test": "batch"}
    encoder, decoder = unet(decoder=options, **options)
    _, running = unet(decoder={"norm": "batch"})
    running.load_state_dict(decoder.state_dict())
    x = image(count=2)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    test = decoder(encoder(x))
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())
    assert not torch.allclose(running(encoder(x)), test)
    trained = decoder.train()(encoder.train()(x))
    assert torch.allclose(test, trained, rtol=1e-12, atol=1e-14)
    assert decoder.up[1].norm.num_batches_tracked == 1


# ---- norms, initialisation, options --------------------------------------------------------------------------------


def test_where_norms_and_biases_are() -> None:
    encoder, decoder = Encoder(width=4, levels=5, bias=False), Decoder(width=4, levels=5, bias=False)
    assert [layer.norm is not None for layer in encoder.down] == [False, True, True, True, False]
    assert [layer.norm is not None for layer in decoder.up] == [False, True, True, True, True]
    assert not any(layer.conv.bias is not None for layer in encoder.down)
    assert [layer.conv.bias is not None for layer in decoder.up] == [True, False, False, False, False]


@pytest.mark.parametrize("init", ["gaussian", "xavier"])
def test_initialisation(init: str) -> None:
    for network in (Encoder(width=16, levels=5, init=init), Decoder(width=16, levels=5, init=init)):
        layer = (network.down if hasattr(network, "down") else network.up)[4]
        fan = sum(layer.conv.weight.shape[:2]) * 16
        expected = 0.02 if init == "gaussian" else 0.02 * (2 / fan) ** 0.5
        assert layer.conv.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert not layer.conv.bias.any()
        norm = (network.down if hasattr(network, "down") else network.up)[3].norm
        assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
        assert norm.weight.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Encoder, {"levels": 2}, "levels is 2, a U-Net has at least 3"),
        (Encoder, {"code_at": "inside"}, "code_at 'inside' is not one of all, input"),
        (Encoder, {"statistics_at_test": "mine"}, "statistics_at_test 'mine' is not one of running, batch"),
        (Decoder, {"upsample": "nearest"}, "upsample 'nearest' is not one of transposed, bilinear"),
    ],
)
def test_options_that_make_no_sense(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)
