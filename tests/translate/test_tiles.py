"""Translating in tiles: no pixel depends on its tile, and statistics are those of the whole image."""

import pytest
import torch
import toy
from small_translators import of_pass, small
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_forge.engine.forward_pass import tensor
from i2i_forge.errors import UsageError
from i2i_forge.translate.tiles import tiles_of
from i2i_forge.translate.translator import Translator
from i2i_forge.translate.whole_statistics import EVERYWHERE, Core, Moments, Statistics

LOCAL = ["munit_synthetic", "unit_synthetic", "cyclegan_synthetic", "augmented_cyclegan_synthetic"]
LOCAL += ["bicyclegan_synthetic"]  # with a U-Net of few levels
U_NETS = ["pix2pix_synthetic", "bicyclegan_synthetic", "cyclegan_noise_synthetic"]


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Different in different places."""
    draws = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, 4, 4, generator=draws, dtype=torch.float64) * 2 - 1
    fine = torch.rand(1, 3, height, width, generator=draws, dtype=torch.float64) * 2 - 1
    return F.interpolate(rough, size=(height, width), mode="bilinear").clamp(-1, 1) * 0.7 + fine * 0.3


@pytest.fixture(scope="module", params=LOCAL)
def method(request: pytest.FixtureRequest) -> Translator:
    return small(request.param, dtype=torch.float64)


@pytest.mark.parametrize(("height", "width"), [(192, 224), (186, 221)])
def test_a_translation_in_tiles_is_that_of_the_whole_image(method: Translator, height: int, width: int) -> None:
    """Exact statistics: equal up to rounding, at the borders of tiles too."""
    x = picture(height, width)
    for route in method.trainer.routes:
        whole = method.translate(x, route)
        tiled = method.translate_in_tiles(x, route, tile=64)
        assert (tiled - whole).abs().max() < 1e-9
        assert whole.std() > 1e-4  # not of one colour


def test_a_sample_gives_other_statistics_and_no_seams(method: Translator) -> None:
    """With the same statistics the tiles are the whole: no pixel depends on the tile that it lies in."""
    x, tiling = picture(256, 320).to(torch.float64), method.tiling("ab")
    trainer = method.trainer
    given = {name: trainer.infer(name, {"a": x[:, :, :64, :64]}, "ab") for name in trainer.latents_of("ab")}
    statistics = tiling.sampled({tiling.source: x}, 128, given)
    with statistics.applied():
        whole = trainer.translate(x, "ab", **given)
    assert (tiling.translate(x, 128, exact=False, **given) - whole).abs().max() < 1e-9
    assert (trainer.translate(x, "ab", **given) - whole).abs().max() > 1e-6


def test_the_halo_is_how_far_the_networks_reach(method: Translator) -> None:
    """A change outside of the halo changes nothing, with the same statistics; one inside does."""
    trainer, tiling, halo = method.trainer, method.tiling("ab"), method.tiling("ab").halo
    x = picture(64, 512)
    given = {name: trainer.infer(name, {"a": x[..., :64]}, "ab") for name in trainer.latents_of("ab")}
    statistics = tiling.sampled({tiling.source: x}, 512, given)
    other = x.clone()
    other[..., :128] = picture(64, 128, seed=1)
    with statistics.applied():
        one = trainer.translate(x, "ab", **given)
    with statistics.applied():
        two = trainer.translate(other, "ab", **given)
    differs = (one != two).any(1).any(1)[0]
    assert not differs[128 + halo :].any()
    assert differs[128 : 128 + halo].any()


@pytest.mark.parametrize("name", U_NETS)
def test_networks_that_reach_everywhere_are_refused(name: str) -> None:
    levels = [f"networks.{role}.levels=8" for role in ("encoder", "decoder")]
    translator = small(name, *levels, "data.size=256", dtype=torch.float64)
    with pytest.raises(UsageError, match=r"cannot be cut into tiles|dropout in use") as caught:
        translator.translate_in_tiles(torch.zeros(1, 3, 600, 600), tile=256)
    assert "--tile 0" in caught.value.fix


class AttentiveForward(toy.ToyForward):
    @tensor
    def translation(self) -> Tensor:
        coarse = F.avg_pool2d(self.content, 8)
        tokens = coarse.flatten(2)
        mixed = tokens @ (tokens.transpose(1, 2) @ tokens).softmax(-1)
        return self.dst.decoder(self.content + F.interpolate(mixed.view_as(coarse), scale_factor=8), self.code)


class PlacedForward(toy.ToyForward):
    @tensor
    def code(self) -> Tensor:
        return self.noise(len(self.source), 4, *self.source.shape[2:], like=self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content + self.code, self.code[:, :2, 0, 0])


class GrainyForward(toy.ToyForward):
    """Whose noise is no latent."""

    @tensor
    def grain(self) -> Tensor:
        return self.noise(len(self.source), 4, *self.source.shape[2:], like=self.source)

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content + self.grain, self.code)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (AttentiveForward, "depends on pixels 256 and more away"),
        (PlacedForward, r"a tile takes one code"),
        (GrainyForward, "noise is drawn for every pixel"),
    ],
)
def test_what_has_no_tiles_says_why(forward: type[toy.ToyForward], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        of_pass(forward).translate_in_tiles(torch.zeros(1, 3, 128, 128), tile=64)


# ---- statistics ------------------------------------------------------------------------------------------------


class Normalised(nn.Module):
    """One of the layers that look at all of an image, between convolutions."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), layer, nn.Conv2d(4, 3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Excitation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (
            x * F.adaptive_avg_pool2d(x, 1).sigmoid()
            + x.mean((2, 3), keepdim=True)
            + x.std(dim=(-1, -2))[..., None, None]
        )


@pytest.mark.parametrize(
    "layer",
    [
        nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4), nn.GroupNorm(1, 4), nn.BatchNorm2d(4), Excitation(),
        nn.BatchNorm2d(4, track_running_stats=False),
    ],
    ids=str,
)  # fmt: skip
def test_layers_of_torch(layer: nn.Module) -> None:
    torch.manual_seed(0)
    network = Normalised(layer).double().eval().requires_grad_(False)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x, statistics = picture(64, 96), Statistics()
    tiles = list(tiles_of(64, 96, 32, 8))
    while all(statistics.measures(lambda each=each: network(x[each.shown]), each.core) for each in tiles):
        statistics.settle()
    for each in tiles:
        with statistics.applied():
            part = each.core.of(network(x[each.shown]))
        torch.testing.assert_close(part, network(x)[each.kept], rtol=0, atol=1e-12)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    x, moments = picture(60, 40), Moments()
    for part in (x[..., :13], x[..., 13:]):
        moments.add(part, (2, 3))
    variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
    torch.testing.assert_close(moments.mean(), mean)
    torch.testing.assert_close(moments.variance(1), variance)


def test_cores_cover_the_image_once() -> None:
    seen = torch.zeros(1, 1, 100, 72)
    for tile in tiles_of(100, 72, 32, 12):
        assert tile.core.of(seen[tile.shown]).shape == seen[tile.kept].shape
        assert max(seen[tile.shown].shape) <= 32 + 2 * 12
        seen[tile.kept] += 1
    assert (seen == 1).all()
    half = Core(8, 24, 4, 12, 32, 16).of(torch.arange(16.0).view(1, 1, 16, 1).expand(1, 1, 16, 8))
    assert half.shape == (1, 1, 8, 4) and half[0, 0, :, 0].tolist() == list(range(4, 12))
    assert EVERYWHERE.of(seen).shape == seen.shape
