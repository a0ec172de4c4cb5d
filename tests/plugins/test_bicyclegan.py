"""BicycleGAN: who learns from what, the two halves of a batch, sizes. Its figures are in tests/parity."""

from collections import Counter
from typing import Any

import pytest
import torch
from loaded import CATALOG, recipe_of, trainer_of
from shrink import small
from torch import Tensor

import i2i_forge
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.forward_pass import Frame
from i2i_forge.errors import RecipeError
from i2i_forge.system.distributed import ranks as ranks_module
from i2i_forge.translate.translator import Translator
from i2i_forge_plugins.bicyclegan import BicycleganForward

ROLES = ("encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator")
DEPTHS = ("encoder.levels=4", "decoder.levels=4", "code_encoder.blocks=2", "discriminator.layers=1")
TINY = [  # with an encoder of codes and two discriminators
    *(f"networks.{role}.width=4" for role in ROLES), *(f"networks.{depth}" for depth in DEPTHS),
    "networks.vae_discriminator.layers=1", "networks.encoder.init_gain=1.0", "networks.decoder.init_gain=1.0",
    "networks.code_encoder.init_gain=1.0",
]  # fmt: skip
TINY_BASELINE = [each for each in TINY if "code_encoder" not in each and "vae_discriminator" not in each]
GENERATOR = {"vae_gan", "gan", "image", "kl", "code"}


def make(*sets: str, drop: tuple[str, ...] = ()) -> i2i_forge.Trainer:
    trainer: i2i_forge.Trainer = trainer_of("bicyclegan_edges2shoes", *TINY, *sets, drop=drop)
    return trainer


@pytest.fixture(scope="module")
def trainer() -> i2i_forge.Trainer:
    return make()


def pairs(count: int, height: int = 32, width: int = 32, seed: int = 0) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {domain: torch.rand(count, 3, height, width, generator=draws) * 2 - 1 for domain in "ab"}


def moved(trainer: i2i_forge.Trainer, batch: dict[str, Tensor]) -> set[str]:
    """The roles that a step changes."""
    before = {name: value.clone() for name, value in trainer.state_dict().items()}
    trainer.step(batch, 0)
    return {name.split(".")[0] for name, value in trainer.state_dict().items() if not torch.equal(value, before[name])}


# ---- who learns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "learns"),
    [
        ("code", {"encoder", "decoder"}),  # not the encoder of codes, though the loss runs through it
        ("kl", {"code_encoder"}),
        ("image", {"encoder", "decoder", "code_encoder"}),
        ("vae_gan", {"encoder", "decoder", "code_encoder"}),
        ("gan", {"encoder", "decoder"}),
    ],
)
def test_who_learns_from_a_term(term: str, learns: set[str]) -> None:
    others = [f"generator.{other}" for other in GENERATOR - {term}]
    assert moved(make(drop=(*others, "discriminators.gan", "discriminators.vae_gan")), pairs(2)) == learns


def test_each_discriminator_learns_from_its_own_term() -> None:
    everyone = tuple(f"generator.{term}" for term in GENERATOR)
    assert moved(make(drop=(*everyone, "discriminators.gan")), pairs(2)) == {"vae_discriminator"}
    assert moved(make(drop=(*everyone, "discriminators.vae_gan")), pairs(2)) == {"discriminator"}


def test_no_network_runs_more_often_than_in_the_published_step() -> None:
    recipe = recipe_of("bicyclegan_edges2shoes", *TINY)
    calls = Counter(name for called in trace_recipe(recipe, CATALOG).calls.values() for name in called)
    assert calls == {"encoder": 2, "decoder": 2, "code_encoder": 2, "discriminator": 3, "vae_discriminator": 3}


# ---- halves --------------------------------------------------------------------------------------------------------


class Encoder(torch.nn.Module):
    code_dim = 3


def forward(batch: dict[str, Tensor], *, training: bool = True) -> Any:
    networks = {"encoder": {"shared": Encoder()}}
    return BicycleganForward(
        Frame("generator", 0, 0, torch.device("cpu"), batch, networks, training=training), "ab", ("a", "b"), {}
    )


def test_the_halves_of_ranks_are_slices_of_the_whole_batchs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pairs(8)
    names = ("source", "target", "other_target", "random_code", "random_code_2", "real_pair")
    alone = {name: getattr(forward(whole), name) for name in names}
    assert len(alone["source"]) == 4 and not torch.equal(alone["random_code"], alone["random_code_2"])
    ranks = []
    for rank in range(2):
        monkeypatch.setattr(ranks_module, "share", lambda rank=rank: (rank, 2))
        mine = forward({domain: images[4 * rank : 4 * rank + 4] for domain, images in whole.items()})
        ranks.append({name: getattr(mine, name) for name in names})
    for name in names:
        assert torch.equal(torch.cat([found[name] for found in ranks]), alone[name]), name


def test_pairs_stay_pairs_and_no_half_holds_the_others() -> None:
    a = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    halved = forward({"a": a, "b": a + 10})
    assert torch.equal(halved.target, halved.source + 10)
    assert torch.equal(halved.real_pair[:, 3:], halved.real_pair[:, :3] + 10)
    assert not set(halved.target.flatten().tolist()) & set(halved.other_target.flatten().tolist())
    whole = forward({"a": a, "b": a + 10}, training=False)
    assert torch.equal(whole.source, a)
    assert torch.equal(whole.target, a + 10)


def test_the_other_half_matters_to_one_discriminator_alone(trainer: Any) -> None:
    state = {name: value.clone() for name, value in trainer.state_dict().items()}
    first = trainer.step(batch := pairs(2), 0)
    trainer.load_state_dict(state)
    for images in batch.values():
        images[1] = 0
    again = trainer.step(batch, 0)
    assert {name for name, loss in first.items() if again[name] != loss} == {"discriminators/gan/ab"}
    trainer.load_state_dict(state)


@pytest.mark.parametrize("count", [1, 3])
def test_an_odd_batch_is_an_error_that_names_the_key(trainer: Any, count: int) -> None:
    with pytest.raises(RecipeError, match=rf"data\.batch: {count} images .* no two halves") as caught:
        trainer.step(pairs(count), 0)
    assert caught.value.fix == "make it even"
    assert trainer.translate(pairs(count)["a"]).shape == (count, 3, 32, 32)  # in use nothing is halved


# ---- sizes and codes -----------------------------------------------------------------------------------------------


def test_other_sizes_than_the_published_one_learn() -> None:
    report = make("networks.encoder.levels=7", "networks.decoder.levels=7").step(pairs(2, 128, 256), 0)
    assert all(torch.isfinite(torch.tensor(loss)) for loss in report.values())
    assert len(make().step(pairs(2, 48, 80), 0)) == 7


@pytest.mark.parametrize("size", [(32, 32), (97, 64), (130, 201)])
def test_images_of_any_size_are_translated_and_encoded(trainer: Any, size: tuple[int, int]) -> None:
    translator = Translator(trainer, recipe_of("bicyclegan_edges2shoes", *TINY), 0)
    batch = pairs(1, *size)
    guide = translator.encode(batch["b"], "mean", "b")
    assert guide.shape == (1, 8)
    one = translator.translate(batch["a"], random_code=guide)
    assert one.shape == (1, 3, *size)
    several = translator.translate(batch["a"], random_code=torch.cat([guide, -guide, guide + 1]))
    assert several.shape == (3, 3, *size)
    assert torch.allclose(several[:1], one, atol=1e-5)
    assert not torch.allclose(several[1], several[0], atol=1e-3)


def test_the_code_of_a_reference_is_its_mean_without_noise(trainer: Any) -> None:
    b = pairs(2)["b"]
    mean = trainer.encode(b, "mean", "b")
    assert torch.equal(mean, trainer.networks["code_encoder"]["shared"](b)[0])
    assert torch.equal(mean, trainer.encode(b, "mean", "b"))
    given = trainer.infer("code", {"b": b}, "ab", posterior_noise=torch.zeros(2, 8))
    assert torch.equal(given, mean)
    wider = trainer.infer("code", {"b": b}, "ab", posterior_noise=torch.ones(2, 8))
    deviation = (trainer.encode(b, "logvar", "b") / 2).exp()
    assert torch.allclose(wider - mean, deviation)


def test_the_baseline_without_encoders_draws_its_codes_and_takes_no_reference() -> None:
    baseline = trainer_of("pix2pix_noise_edges2shoes", *TINY_BASELINE)
    assert set(baseline.step(pairs(2), 0)) == {"generator/gan/ab", "generator/image/ab", "discriminators/gan/ab"}
    codes = torch.eye(8)[:2] * 5
    one, other = baseline.translate(pairs(1)["a"], random_code=codes)
    assert not torch.allclose(one, other, atol=1e-3)
    with pytest.raises(RecipeError, match=r"networks\.code_encoder: the recipe has none"):
        baseline.encode(pairs(1)["b"], "mean", "b")


# ---- encoders of codes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "depth"), [("residual_code", "blocks"), ("convolutional_code", "layers")])
@pytest.mark.parametrize("size", [(128, 128), (300, 512)])
def test_codes_have_one_length_at_every_size(name: str, depth: str, size: tuple[int, int]) -> None:
    encoder = CATALOG.encoders.get(name)(width=4, dim=5, **{depth: 4})
    assert (encoder.dim, encoder.stride) == (5, 32)
    mean, logvar = encoder(pairs(2, *size)["b"])
    assert mean.shape == logvar.shape == (2, 5)
    assert not torch.equal(mean, logvar)


@pytest.mark.parametrize("name", ["residual_code", "convolutional_code"])
def test_one_channel_sees_grey(name: str) -> None:
    encoder = CATALOG.encoders.get(name)(width=4, channels=1).eval()
    x = pairs(1, 64, 64)["b"]
    luma = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(encoder(x)[0], encoder(luma.expand(-1, 3, -1, -1))[0], atol=1e-6)
    assert torch.allclose(encoder(x)[1], encoder(luma)[1], atol=1e-6)


# ---- a term for every method with a code ---------------------------------------------------------------------------

MODE_SEEKING = "phases.generator.minimize.mode_seeking=1 * mode_seeking(translation, translation_2, {0}, {0}_2)"
MUNIT = [
    *small(content_encoder="blocks=1", style_encoder="", decoder="blocks=1 mlp_dim=8"),
    *small(discriminator="layers=2 scales=2"),
]


@pytest.mark.parametrize(
    ("recipe", "tiny", "code"),
    [
        ("munit_edge2shoes", MUNIT, "random_style"),
        ("bicyclegan_edges2shoes", TINY, "random_code"),
        ("pix2pix_noise_edges2shoes", TINY_BASELINE, "random_code"),
    ],
)
def test_mode_seeking_joins_by_recipe_alone_and_changes_no_other_number(
    recipe: str, tiny: list[str], code: str
) -> None:
    without, with_term = (trainer_of(recipe, *tiny, *term) for term in ([], [MODE_SEEKING.format(code)]))
    plain, report = without.step(pairs(2), 0), with_term.step(pairs(2), 0)
    added = {name for name in report if "mode_seeking" in name}
    assert added == {f"generator/mode_seeking/{route}" for route in without.routes}
    assert {name: loss for name, loss in report.items() if name not in added} == plain
    assert all(report[name] > 0 for name in added)
    decoder = {name for name in without.state_dict() if name.startswith("decoder")}
    assert any(not torch.equal(without.state_dict()[name], with_term.state_dict()[name]) for name in decoder)
