"""Figures of the published MUNIT code, measured in float64 with weights, images and noise given by formulas.

`munit_golden.json` holds them with the formulas (`recipe`). Everything here goes through the public interface.
"""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from formulas import (
    assert_statistics,
    assert_steps_of_two_domains,
    close,
    double,
    drawn,
    images,
    two_domains,
    with_weights,
)
from shrink import small
from torch import Tensor

import i2i_forge

GOLDEN = json.loads((Path(__file__).parent / "munit_golden.json").read_text())
CASES = ("munit", "munit_nocycle")
STYLE_DIM = 8
TINY = [*small(8, content_encoder="blocks=2", style_encoder="", decoder="blocks=2 mlp_dim=16", discriminator="")]
CYCLE = "phases.generator.minimize.cycle=10 * l1(cycled, source)"
NAMES = {  # theirs -> ours
    "dis_a": "discriminator/gan/ba", "dis_b": "discriminator/gan/ab",
    "gen_adv_a": "generator/gan/ba", "gen_adv_b": "generator/gan/ab",
    "gen_recon_x_a": "generator/image/ab", "gen_recon_x_b": "generator/image/ba",
    "gen_recon_s_a": "generator/style/ba", "gen_recon_s_b": "generator/style/ab",
    "gen_recon_c_a": "generator/content/ab", "gen_recon_c_b": "generator/content/ba",
    "gen_cycrecon_x_a": "generator/cycle/ab", "gen_cycrecon_x_b": "generator/cycle/ba",
}  # fmt: skip


SWITCHES = {
    "plain": (),
    "channels_last": ("run.channels_last=true",),
    "recomputed": ("run.recompute=[content_encoder, style_encoder, decoder, discriminator]",),
    "averaged": ("ema={roles: [content_encoder, style_encoder, decoder]}",),
}


def load(case: str, *switches: str) -> i2i_forge.Trainer:
    trainer = double("munit_edge2shoes", *TINY, *switches, *([CYCLE] if case == "munit" else []))
    return with_weights(trainer, "nvlabs-munit", two_domains(GOLDEN["shapes"]))


def given_styles(count: int, step: int) -> dict[str, dict[str, dict[str, Tensor]]]:
    """The four draws of a step, one of each phase as N,dim and one as N,dim,1,1, the published shape."""
    styles = [drawn(count, STYLE_DIM, 4 * step + call) for call in range(4)]
    return {
        phase: {"ba": {"random_style": to_a}, "ab": {"random_style": to_b[:, :, None, None]}}
        for phase, to_a, to_b in (("discriminator", *styles[:2]), ("generator", *styles[2:]))
    }


@pytest.mark.parametrize("case", CASES)
def test_forward_passes_are_those_of_the_published_code(case: str) -> None:
    golden, trainer = GOLDEN[case], load(case)
    a, _ = images(golden["batch"])
    content, style = trainer.encode(a, "content", "a"), trainer.encode(a, "style", "a")
    assert_statistics(content, golden["gen_a.content(A)"])
    assert_statistics(style, golden["gen_a.style(A)"])
    for random_style in (drawn(len(a), STYLE_DIM, 0), drawn(len(a), STYLE_DIM, 0)[:, :, None, None]):
        translation = trainer.translate(a, "ab", random_style=random_style)
        assert_statistics(translation, golden["gen_b.decode(content_a(A), z(call=0))"])
    logits = trainer.infer("real_logits", {"a": a}, "ba")
    assert len(logits) == 3
    for scale, value in enumerate(logits):
        assert_statistics(value, golden[f"dis_a(A)[{scale}]"])


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("case", CASES)
def test_three_training_steps_are_those_of_the_published_code(case: str, switch: str) -> None:
    golden, trainer = GOLDEN[case], load(case, *SWITCHES[switch])
    term_weights = {
        "gan": golden["weights"]["gan_w"], "image": golden["weights"]["recon_x_w"],
        "style": golden["weights"]["recon_s_w"], "content": golden["weights"]["recon_c_w"],
        "cycle": golden["weights"]["recon_x_cyc_w"],
    }  # fmt: skip
    names = {k: v for k, v in NAMES.items() if case == "munit" or "cycle" not in v}
    assert_steps_of_two_domains(trainer, golden, names, term_weights, partial(given_styles, golden["batch"][0]))


def test_the_figures_do_not_depend_on_the_trainers_own_noise() -> None:
    """The check of the check: with other styles the losses are others, so the given ones were used."""
    trainer = load("munit_nocycle")
    a, b = images(GOLDEN["munit_nocycle"]["batch"])
    report = trainer.step({"a": a, "b": b}, 0)
    assert not close(report["generator/style/ab"], GOLDEN["munit_nocycle"]["steps"][0]["loss_gen_recon_s_b"])


def test_nsgan_is_the_published_cross_entropy_of_sigmoids() -> None:
    """Specification 2.2: BCE(sigmoid(D(fake)), 0) + BCE(sigmoid(D(real)), 1), scales summed; G: BCE(sigmoid(D), 1)."""
    sets = [
        "phases.discriminator.minimize.gan=1 * nsgan_discriminator(real_logits, fake_logits)",
        "phases.generator.minimize.gan=1 * nsgan_generator(fake_logits)",
    ]
    trainer = double("munit_edge2shoes", *TINY, *sets)
    a, b = images([1, 3, 64, 64])
    styles = given_styles(1, 0)
    given = styles["discriminator"]["ab"]["random_style"]
    real = trainer.infer("real_logits", {"a": a, "b": b}, "ab")
    fake = trainer.infer("fake_logits", {"a": a, "b": b}, "ab", random_style=given)
    bce = torch.nn.functional.binary_cross_entropy
    expected = sum(
        bce(r.sigmoid(), torch.ones_like(r)) + bce(f.sigmoid(), torch.zeros_like(f))
        for r, f in zip(real, fake, strict=True)
    )
    report = trainer.step({"a": a, "b": b}, 0, given=styles)
    assert close(report["discriminator/gan/ab"], float(expected))
    # The generator's turn comes after the discriminator's update; what it saw is what the networks give now.
    updated = double("munit_edge2shoes", *TINY, *sets)
    generator_before = {k: v for k, v in updated.state_dict().items() if not k.startswith("discriminator")}
    updated.load_state_dict(trainer.state_dict() | generator_before)
    fake = updated.infer(
        "fake_logits", {"a": a, "b": b}, "ab", random_style=styles["generator"]["ab"]["random_style"]
    )  # fmt: skip
    assert close(report["generator/gan/ab"], float(sum(bce(f.sigmoid(), torch.ones_like(f)) for f in fake)))
