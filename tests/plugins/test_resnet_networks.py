"""The ResNet generator: sizes, layers, published counts, dropout, initialisation."""

from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor, nn

Encoder, Decoder = CATALOG.encoders.get("resnet"), CATALOG.decoders.get("resnet")
SMALL = {"width": 4, "blocks": 2}


def images(count: int = 1, size: int = 16) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def layers(network: nn.Module, kind: Any) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(("blocks", "norm", "numbers"), [
    (9, "instance", 11_378_179), (6, "instance", 7_837_699), (9, "batch", 11_383_427),
])  # fmt: skip
def test_the_published_sizes_have_the_published_numbers_of_parameters(blocks: int, norm: str, numbers: int) -> None:
    with torch.device("meta"):
        networks = Encoder(blocks=blocks, norm=norm), Decoder(norm=norm)
    assert sum(p.numel() for network in networks for p in network.parameters()) == numbers


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_the_decoder_gives_back_the_size(levels: int) -> None:
    encoder, decoder = Encoder(**SMALL, downsamples=levels), Decoder(width=4, upsamples=levels)
    features = encoder(images(2, 32))
    assert encoder.stride == 2**levels
    assert features.shape == (2, 4 * 2**levels, 32 // 2**levels, 32 // 2**levels)
    translation = decoder(features)
    assert translation.shape == (2, 3, 32, 32)
    assert translation.abs().max() <= 1


def test_it_is_the_composition_of_its_layers() -> None:
    """Figure by figure from torch's functions: reflection, strides, output padding, no activation after the sum."""
    f = nn.functional
    encoder, decoder = Encoder(width=4, blocks=1, downsamples=1).double(), Decoder(width=4, upsamples=1).double()
    w: dict[str, Tensor] = {**encoder.state_dict(), **{f"d.{k}": v for k, v in decoder.state_dict().items()}}

    def conv(x: Tensor, name: str, **options: Any) -> Tensor:
        return f.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    x = images().double()
    h = f.instance_norm(conv(f.pad(x, [3] * 4, mode="reflect"), "stem.conv")).relu()
    h = f.instance_norm(conv(h, "down.0.conv", stride=2, padding=1)).relu()
    change = f.instance_norm(conv(f.pad(h, [1] * 4, mode="reflect"), "blocks.0.change.0.conv")).relu()
    h = h + f.instance_norm(conv(f.pad(change, [1] * 4, mode="reflect"), "blocks.0.change.1.conv"))
    assert torch.allclose(encoder(x), h, rtol=1e-12, atol=1e-12)
    up = f.conv_transpose2d(h, w["d.up.0.conv.weight"], w["d.up.0.conv.bias"], stride=2, padding=1, output_padding=1)
    out = conv(f.pad(f.instance_norm(up).relu(), [3] * 4, mode="reflect"), "d.to_image.conv").tanh()
    assert torch.allclose(decoder(h), out, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("norm", "bias"), [("instance", True), ("batch", False), ("none", False)])
def test_inner_convolutions_have_a_bias_with_instance_norm_only_and_the_last_one_always(norm: str, bias: bool) -> None:
    encoder, decoder = Encoder(**SMALL, norm=norm), Decoder(width=4, norm=norm)
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    assert {c.bias is not None for c in layers(encoder, kinds)} == {bias}
    assert [c.bias is not None for c in layers(decoder, kinds)] == [bias, bias, True]
    given = [c.bias is not None for c in layers(Encoder(**SMALL, norm=norm, bias=not bias), kinds)]
    assert set(given) == {not bias}


def test_dropout_lies_between_the_convolutions_of_a_block_and_moves_the_seconds_name() -> None:
    plain, dropping = Encoder(**SMALL), Encoder(**SMALL, dropout=0.5)
    assert "blocks.1.change.1.conv.weight" in plain.state_dict()
    assert "blocks.1.change.2.conv.weight" in dropping.state_dict()
    assert len(layers(dropping, nn.Dropout)) == 2
    assert not layers(plain, nn.Dropout)


def test_dropout_acts_in_training_and_at_test_time_if_asked() -> None:
    x = images()
    habit, paper = (Encoder(**SMALL, dropout=0.5, dropout_at_test=at_test) for at_test in (False, True))
    for network in (habit, paper):
        assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(habit.eval()(x), habit(x))
    assert not torch.equal(paper.eval()(x), paper(x))
    whole = Encoder(**SMALL).eval()
    whole.load_state_dict({k.replace("change.2", "change.1"): v for k, v in habit.state_dict().items()})
    assert torch.equal(habit(x), whole(x))  # without dropping it is the plain network


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    encoder = Encoder(width=32, blocks=1, norm="batch")
    weight = encoder.blocks[0].change[0].conv.weight.detach()
    assert abs(float(weight.std()) - 0.02) < 0.001
    assert abs(float(weight.mean())) < 0.001
    scales = torch.cat([norm.weight for norm in layers(encoder, nn.BatchNorm2d)]).detach()
    assert abs(float(scales.mean()) - 1) < 0.01
    assert abs(float(scales.std()) - 0.02) < 0.005
    wide = Encoder(width=32, blocks=1, init_gain=0.1).blocks[0].change[0].conv
    assert abs(float(wide.weight.detach().std()) - 0.1) < 0.005
    assert not wide.bias.any()


def test_one_channel_is_the_luma() -> None:
    encoder = Encoder(**SMALL, channels=1).double()
    x = images().double()
    luma = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    assert encoder.stem.conv.weight.shape == (4, 1, 7, 7)
    assert torch.allclose(encoder(x), encoder(luma.expand(-1, 3, -1, -1)), rtol=1e-9, atol=1e-9)
    assert Decoder(width=4, channels=1)(Encoder(**SMALL)(images())).shape == (1, 1, 16, 16)


def test_an_image_of_one_channel_is_seen_as_it_is() -> None:
    encoder, x = Encoder(**SMALL, channels=1), images()[:, :1]
    assert torch.equal(encoder(x), encoder.blocks(encoder.down(encoder.stem(x))))
