"""pix2pix: who sees what, what a step costs, and the ablations of the paper's section 3."""

from typing import Any

import torch
from loaded import CATALOG, recipe_of, trainer_of
from shrink import small
from torch import Tensor

from i2i_forge.engine.build import trace_recipe

TINY = [*small(encoder="levels=6", decoder="levels=6", discriminator="layers=2"), "data.size=64", "data.resize=~"]
UNCONDITIONAL = [
    "networks.discriminator.channels=3",
    "phases.discriminator.minimize.gan=0.5 * vanilla_discriminator(real_logits, fake_logits)",
    "phases.generator.minimize.gan=1 * vanilla_generator(fake_logits)",
]


def make(*sets: str, drop: tuple[str, ...] = ()) -> Any:
    return trainer_of("pix2pix_facades", *TINY, *sets, drop=drop)


def batch() -> dict[str, Tensor]:
    a = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {"a": a, "b": a.flip(3)}


def calls(*sets: str, drop: tuple[str, ...] = ()) -> int:
    return trace_recipe(recipe_of("pix2pix_facades", *TINY, *sets, drop=drop), CATALOG).network_calls


def test_a_step_calls_the_u_net_once_and_the_discriminator_three_times() -> None:
    assert calls() == 2 + 3
    assert calls(*UNCONDITIONAL) == 2 + 3
    assert calls("phases.discriminator.reuse=~") == 2 * 2 + 3
    assert calls("phases.discriminator=~", drop=("generator.gan",)) == 2  # the distance alone


def test_the_discriminator_judges_source_and_image_together() -> None:
    """Of the pair's six channels the first three are the source."""
    trainer = make()
    images = batch()
    pair, fake = (trainer.infer(name, images, "ab") for name in ("real_pair", "fake_pair"))
    assert torch.equal(pair, torch.cat([images["a"], images["b"]], dim=1))
    assert torch.equal(fake[:, :3], images["a"])
    assert torch.equal(fake[:, 3:], trainer.translate(images["a"], "ab"))


def test_both_players_see_one_translation_with_one_dropout_mask() -> None:
    """Before anything is learned, so at rate zero, the two logits of the fake pair are of one image."""
    trainer = make("optimizers.default.lr=1e-30")
    seen: list[Tensor] = []
    network = trainer.networks["discriminator"]["shared"]
    network.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()[:, 3:].clone()))
    trainer.step(batch(), 0)
    assert len(seen) == 3
    fakes = [image for image in seen if not torch.equal(image, batch()["b"])]
    assert torch.equal(*fakes)
    trainer.step(batch(), 1)
    assert not torch.equal(seen[-1], fakes[0])  # another step, another mask


def test_the_unconditional_and_the_plain_variant_learn() -> None:
    """Section 3.1: a discriminator that does not see the source; no discriminator at all."""
    trainer = make(*UNCONDITIONAL)
    assert set(trainer.step(batch(), 0)) == {"discriminator/gan/ab", "generator/gan/ab", "generator/image/ab"}
    sets = ["phases.discriminator=~", "networks.decoder.dropout=0.0", "optimizers.default.lr=0.01"]
    plain = make(*sets, drop=("generator.gan",))
    pair = {"a": batch()["a"], "b": torch.full((1, 3, 64, 64), 0.5)}
    losses = [plain.step(pair, step)["generator/image/ab"] for step in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_noise_at_inference_is_dropout() -> None:
    """The recipe follows the paper; without `dropout_at_test` an image has one translation."""
    images = batch()["a"].expand(2, -1, -1, -1)
    for at_test in (True, False):
        trainer = make(f"networks.decoder.dropout_at_test={str(at_test).lower()}", "networks.decoder.init=kaiming")
        one, other = trainer.translate(images, "ab")
        assert torch.allclose(one, other, rtol=0, atol=1e-6) == (not at_test)
