"""Figures of the published BicycleGAN code, measured in float64 with weights, images and codes given by formulas.

`bicyclegan_golden.json` holds them with the formulas (`recipe`). The variants are changes of the shipped recipe.
"""

import json
from pathlib import Path

import pytest
from formulas import assert_statistics, close, double, drawn, images, weights, with_weights
from torch import Tensor

import i2i_forge

GOLDEN = json.loads((Path(__file__).parent / "bicyclegan_golden.json").read_text())
SHAPE = [2, 3, 256, 256]
PHASES = {"G": 0.0, "E": 0.5, "D": 1.0, "D2": 1.5}
NAMES = {  # theirs -> ours, and the weight that their reports are multiplied by
    "G_GAN": ("generator/vae_gan/ab", 1), "D": ("discriminators/vae_gan/ab", 1),
    "G_GAN2": ("generator/gan/ab", 1), "D2": ("discriminators/gan/ab", 1),
    "G_L1": ("generator/image/ab", 10), "z_L1": ("generator/code/ab", 0.5), "kl": ("generator/kl/ab", 0.01),
}  # fmt: skip
ROLES = {
    "encoder": "G", "decoder": "G", "code_encoder": "E", "discriminator": "D2", "vae_discriminator": "D",
}  # fmt: skip
SMALL = [
    *(f"networks.{role}.width=8" for role in ROLES), "networks.encoder.channels=3", "networks.decoder.dropout=0.0",
]  # fmt: skip
PAIRS = [
    "networks.discriminator.channels=6", "networks.vae_discriminator.channels=6",
    "phases.generator.minimize.vae_gan=1 * lsgan_generator(reconstruction_pair_logits)",
    "phases.generator.minimize.gan=1 * lsgan_generator(fake_pair_logits)",
    "phases.discriminators.minimize.vae_gan=1 * lsgan_discriminator(target_pair_logits, reconstruction_pair_logits)",
    "phases.discriminators.minimize.gan=1 * lsgan_discriminator(real_pair_logits, fake_pair_logits)",
]  # fmt: skip
ONE_FOR_BOTH = ["networks.vae_discriminator=~", "phases.discriminators.trains=[discriminator]"]
CHANGES = {"default": [], "conditional_D": PAIRS, "use_same_D": ONE_FOR_BOTH}


def code(count: int, call: int) -> Tensor:
    """The codes too were rounded to float32 before they were used in float64."""
    return drawn(count, 8, call).float().double()


def load(case: str) -> i2i_forge.Trainer:
    content = {}
    for part in ("G", "E", "D", "D2")[: 3 if case == "use_same_D" else 4]:
        table = "D" + " of pairs" * (case == "conditional_D") if part.startswith("D") else part
        content[part] = weights(GOLDEN["shapes"][table], PHASES[part], rounded=True)
    sets = [each for each in SMALL if case != "use_same_D" or "vae_discriminator" not in each]
    trainer = double("bicyclegan_edges2shoes", *sets, *CHANGES[case])
    return with_weights(trainer, "junyanz-bicyclegan", content)


def test_forward_passes_are_those_of_the_published_code() -> None:
    golden, trainer = GOLDEN["default"], load("default")
    a, b = images(SHAPE, rounded=True)
    assert_statistics(trainer.translate(a, "ab", random_code=code(2, 0)), golden["G(A,z0)"])
    assert_statistics(trainer.encode(b, "mean", "b"), golden["E(B).mu"])
    assert_statistics(trainer.encode(b, "logvar", "b"), golden["E(B).logvar"])
    logits = trainer.infer("target_logits", {"b": b}, "ab")
    assert len(logits) == 2
    for scale, value in enumerate(logits):
        assert_statistics(value, golden[f"D(B)[{scale}]"])


@pytest.mark.parametrize("case", CHANGES)
def test_three_training_steps_are_those_of_the_published_code(case: str) -> None:
    golden, trainer = GOLDEN[case], load(case)
    a, b = images(SHAPE, rounded=True)
    for step, expected in enumerate(golden["steps"]):
        codes = {"posterior_noise": code(1, 2 * step), "random_code": code(1, 2 * step + 1)}
        report = trainer.step({"a": a, "b": b}, step, given={"generator": {"ab": codes}})
        assert set(report) == {ours for ours, _ in NAMES.values()}
        assert set(expected) == set(NAMES)
        for theirs, (ours, weight) in NAMES.items():
            assert close(weight * report[ours], expected[theirs]), (step, theirs)
    found = dict.fromkeys(golden["param_abs_sum_after_3_steps"], 0.0)
    for role, networks in trainer.networks.items():
        part = "D" if case == "use_same_D" and role == "discriminator" else ROLES[role]
        found[part] += sum(p.abs().sum().item() for p in networks["shared"].parameters())
    for part, expected in golden["param_abs_sum_after_3_steps"].items():
        assert close(found[part], expected), part
