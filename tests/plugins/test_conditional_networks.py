"""Conditional generators, discriminators with affine norms, and the networks around a code."""

from typing import Any

import pytest
import torch
from loaded import CATALOG
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.errors import UsageError

Encoder, Decoder = CATALOG.encoders.get("conditional_residual"), CATALOG.decoders.get("conditional_residual")
CodeEncoder, CodeJudge = CATALOG.encoders.get("conditional_code"), CATALOG.discriminators.get("code_mlp")
Whole, Patch = CATALOG.discriminators.get("whole_image"), CATALOG.discriminators.get("affine_patch")
CODE = 5


def images(count: int = 2, height: int = 16, width: int = 16) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, height, width, generator=draws, dtype=torch.float64) * 2 - 1


def codes(count: int = 2, dim: int = CODE) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def generator(code_dim: int = CODE, **options: Any) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    made = Encoder(width=4, blocks=2, code_dim=code_dim, init="kaiming", **options), Decoder(width=4, code_dim=code_dim)
    for network in made:
        for name, parameter in network.named_parameters():
            if name.endswith(("scale", "bias")):
                nn.init.normal_(parameter)
    return made[0].double(), made[1].double()


def numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_sizes_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        assert numbers(Encoder(code_dim=16)) + numbers(Decoder(code_dim=16)) == 1_104_259
        assert numbers(Encoder()) + numbers(Decoder()) == 1_080_963
        assert (numbers(Whole()), numbers(Patch())) == (243_521, 1_713_089)
        assert (numbers(CodeJudge()), numbers(CodeEncoder())) == (9_857, 1_447_040)
        assert numbers(CodeEncoder(conditional=False)) == 1_446_176


# ---- generators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code_dim", [0, CODE])
def test_a_generator_is_the_composition_of_its_layers(code_dim: int) -> None:
    """From torch's functions: where reflection is, which norm is conditional, and no norm in a plain block's middle."""
    encoder, decoder = generator(code_dim)
    w: dict[str, Tensor] = {**encoder.state_dict(), **{f"d.{k}": v for k, v in decoder.state_dict().items()}}
    x, z = images(), codes()

    def conv(h: Tensor, name: str, reflect: int = 0, **options: Any) -> Tensor:
        return F.conv2d(F.pad(h, [reflect] * 4, mode="reflect"), w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def affine(h: Tensor, name: str) -> Tensor:
        return F.instance_norm(h, weight=w[f"{name}.scale"], bias=w[f"{name}.shift"])

    def norm(h: Tensor, name: str) -> Tensor:
        if not code_dim:
            return affine(h, name)
        scale, shift = (
            F.linear(z, w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"]).relu()[..., None, None]
            for part in ("scale", "shift")
        )
        variance, mean = torch.var_mean(h, dim=(2, 3), keepdim=True)
        return (h - mean) / (variance + 1e-5).sqrt() * scale + shift

    h = norm(conv(x, "stem.conv", reflect=3), "stem.norm").relu()
    h = norm(conv(h, "down.0.conv", padding=1), "down.0.norm").relu()
    h = norm(conv(h, "down.1.conv", stride=2, padding=1), "down.1.norm").relu()
    for block in ("blocks.0", "blocks.1"):
        change = conv(h, f"{block}.conv", reflect=1)
        change = (norm(change, f"{block}.norm") if code_dim else change).relu()
        h = (h + affine(conv(change, f"{block}.rest.1", reflect=1), f"{block}.rest.2")).relu()
    z_or_not = (z,) if code_dim else ()
    assert torch.allclose(encoder(x, *z_or_not), h, rtol=1e-9, atol=1e-9)
    up = F.conv_transpose2d(h, w["d.up.0.conv.weight"], w["d.up.0.conv.bias"], stride=2, padding=1, output_padding=1)
    up = norm(up, "d.up.0.norm").relu()
    up = norm(conv(up, "d.up.1.conv", padding=1), "d.up.1.norm").relu()
    out = conv(up, "d.to_image", padding=3).tanh()
    assert torch.allclose(decoder(h, *z_or_not), out, rtol=1e-9, atol=1e-9)


def test_the_code_changes_the_image_and_one_image_takes_many_codes() -> None:
    encoder, decoder = generator()
    z = codes(3)
    together = decoder(encoder(images(1), z), z)
    assert together.shape == (3, 3, 16, 16)
    assert (together[0] - together[1]).abs().max() > 1e-3
    for index in range(3):
        alone = z[index : index + 1]
        image = decoder(encoder(images(1), alone), alone)
        assert torch.allclose(together[index : index + 1], image, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (100, 64)])
def test_the_decoder_gives_back_the_size(size: tuple[int, int]) -> None:
    encoder, decoder = generator(0)
    features = encoder(images(1, *size))
    assert encoder.stride == 2
    assert features.shape == (1, 16, size[0] // 2, size[1] // 2)
    assert decoder(features).shape == (1, 3, *size)
    assert decoder(features).abs().max() <= 1


def test_a_generator_begins_near_zero() -> None:
    torch.manual_seed(0)
    image = Decoder(width=8)(Encoder(width=8)(images().float()))
    assert image.std() < 0.01


def test_other_codes_are_refused_in_plain_words() -> None:
    encoder, decoder = generator()
    plain, _ = generator(0)
    with pytest.raises(UsageError, match=r"code_dim is 5: a code N,5 is expected, there is none"):
        encoder(images())
    with pytest.raises(UsageError, match=r"a code N,5 is expected, here is a tensor \(2, 4\)"):
        decoder(torch.zeros(2, 16, 8, 8).double(), codes(dim=4))
    with pytest.raises(UsageError, match=r"code_dim is 0: no code is expected, here is a tensor \(2, 5\)"):
        plain(images(), codes())


def test_dropout_is_of_the_blocks_and_of_training_alone() -> None:
    encoder, _ = generator(0, dropout=0.5)
    torch.manual_seed(0)
    assert not torch.equal(encoder(images()), encoder(images()))
    encoder.eval()
    assert torch.equal(encoder(images()), encoder(images()))
    plain, _ = generator(0)
    moved = {
        key.replace("rest.2", "rest.1").replace("rest.3", "rest.2"): value
        for key, value in encoder.state_dict().items()
    }
    assert set(moved) == set(plain.state_dict())
    plain.load_state_dict(moved)
    assert torch.equal(plain(images()), encoder(images()))


# ---- discriminators ------------------------------------------------------------------------------------------------


def test_one_discriminator_judges_the_whole_and_one_patches() -> None:
    x = torch.rand(2, 3, 64, 64)
    assert Whole(width=4)(x).shape == (2, 1, 1, 1)
    assert Patch(width=4)(x).shape == (2, 1, 13, 13)


@pytest.mark.parametrize(("side", "whole", "patch"), [(49, 1, 9), (80, 2, 17), (128, 5, 29), (256, 13, 61)])
def test_larger_images_have_larger_maps(side: int, whole: int, patch: int) -> None:
    x = torch.rand(1, 3, side, side)
    assert Whole(width=2)(x).shape[2:] == (whole, whole)
    assert Patch(width=2)(x).shape[2:] == (patch, patch)


@pytest.mark.parametrize("component", [Whole, Patch])
def test_their_features_are_the_activations_before_the_logits(component: Any) -> None:
    network = component(width=4)
    x = torch.rand(1, 3, 64, 64)
    features = network.features(x)
    assert [feature.shape[1] for feature in features] == [4, 8, 16, 16]
    assert torch.equal(network.layers[-1](features[-1]), network(x))
    kept = [feature.clone() for feature in features]
    assert all(torch.equal(*pair) for pair in zip(kept, network.features(x), strict=True))


def test_the_first_layer_has_no_norm_and_the_others_have() -> None:
    for component in (Whole, Patch):
        kinds = [type(layer).__name__ for layer in component(width=4).layers]
        block = ["Conv2d", "AffineInstanceNorm", "LeakyReLU"]
        assert kinds == ["Conv2d", "LeakyReLU", *block * 3, "Conv2d"]


# ---- codes ---------------------------------------------------------------------------------------------------------


def test_the_condition_comes_first_and_is_ignored_without_the_option() -> None:
    a, b = images(2, 64, 64), images(2, 64, 64).flip(3)
    network = CodeEncoder(width=4, dim=CODE).double().eval()
    assert network.layers[0].in_channels == 6
    mean, logvar = network(b, a)
    assert mean.shape == logvar.shape == (2, CODE)
    seen = network.layers(torch.cat([a, b], 1)).flatten(1)
    assert torch.allclose(mean, network.to_mean(seen))
    assert torch.allclose(logvar, network.to_logvar(seen))
    alone = CodeEncoder(width=4, dim=CODE, conditional=False).double().eval()
    assert torch.equal(alone(b, a)[0], alone(b)[0])


def test_larger_images_have_codes_too() -> None:
    network = CodeEncoder(width=2, dim=CODE, conditional=False).eval()
    assert network(torch.rand(1, 3, 80, 130))[0].shape == (1, CODE)


@pytest.mark.parametrize(("network", "given"), [
    (Whole(width=2), 1), (CodeEncoder(width=2), 2), (CodeEncoder(width=2, conditional=False), 1),
])  # fmt: skip
def test_images_too_small_are_refused_in_plain_words(network: nn.Module, given: int) -> None:
    with pytest.raises(UsageError, match=r"needs sides of at least 49 pixels, not \(64, 48\)"):
        network(*[torch.rand(2, 3, 64, 48)] * given)


def test_a_conditional_encoder_needs_its_condition() -> None:
    with pytest.raises(UsageError, match=r"counterpart\nfix: give it, or set `conditional: false`"):
        CodeEncoder(width=2)(torch.rand(2, 3, 64, 64))


def test_initial_values_are_the_published_ones() -> None:
    """N(0, 0.02) and N(1, 0.02) in batch norms; the discriminator of codes keeps torch's own."""
    torch.manual_seed(0)
    network, judge = CodeEncoder(), CodeJudge(width=512)
    assert abs(network.layers[8].weight.std().item() - 0.02) < 1e-3
    assert abs(network.layers[12].weight.mean().item() - 1) < 0.01
    assert abs(network.layers[12].weight.std().item() - 0.02) < 0.005
    assert not network.layers[0].bias.any()
    assert network.layers[11].bias is None
    assert abs(network.to_mean.weight.std().item() - 0.02) < 2e-3
    assert (judge.layers[1].weight == 1).all()
    assert abs(judge.layers[3].weight.std().item() - (3 * 512) ** -0.5) < 1e-3


def test_the_judge_of_codes_sees_the_batch() -> None:
    judge = CodeJudge(width=8, dim=CODE).double()
    assert judge(codes(4)).shape == (4, 1)
    assert not torch.allclose(judge(codes(4))[:2], judge(codes(4)[:2]))
    judge.eval()
    assert torch.allclose(judge(codes(4))[:2], judge(codes(4)[:2]))
