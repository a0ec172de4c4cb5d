"""Figures of the published UNIT code, measured in float64 with weights, images and noise given by formulas.

`unit_golden.json` holds them with the formulas (`recipe`). Everything here goes through the public interface.
"""

import json
from pathlib import Path

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

GOLDEN = json.loads((Path(__file__).parent / "unit_golden.json").read_text())
UNIT = GOLDEN["unit"]
TINY = small(8, encoder="blocks=2", decoder="blocks=2", discriminator="")
NAMES = {  # theirs -> ours
    "dis_a": "discriminator/gan/ba", "dis_b": "discriminator/gan/ab",
    "gen_adv_a": "generator/gan/ba", "gen_adv_b": "generator/gan/ab",
    "gen_recon_x_a": "generator/image/ab", "gen_recon_x_b": "generator/image/ba",
    "gen_recon_kl_a": "generator/kl/ab", "gen_recon_kl_b": "generator/kl/ba",
    "gen_cyc_x_a": "generator/cycle/ab", "gen_cyc_x_b": "generator/cycle/ba",
    "gen_recon_kl_cyc_aba": "generator/kl_cycle/ab", "gen_recon_kl_cyc_bab": "generator/kl_cycle/ba",
}  # fmt: skip
WEIGHTS = {
    "gan": UNIT["weights"]["gan_w"], "image": UNIT["weights"]["recon_x_w"], "kl": UNIT["weights"]["recon_kl_w"],
    "cycle": UNIT["weights"]["recon_x_cyc_w"], "kl_cycle": UNIT["weights"]["recon_kl_cyc_w"],
}  # fmt: skip


def load() -> i2i_forge.Trainer:
    return with_weights(double("unit_edges2shoes", *TINY), "nvlabs-unit", two_domains(GOLDEN["shapes"]))


def given_noise(step: int) -> dict[str, dict[str, dict[str, Tensor]]]:
    """The six draws of a step in the published order; what comes of a is re-encoded after what comes of b."""
    count, *shape = UNIT["gen_a.enc(A)"]["shape"]
    first = UNIT["noise_calls_per_step"] * step
    n = [drawn(count, shape[0] * shape[1] * shape[2], int(first) + call).view(count, *shape) for call in range(6)]
    return {
        "discriminator": {"ab": {"noise": n[0]}, "ba": {"noise": n[1]}},
        "generator": {
            "ab": {"noise": n[2], "recovered_noise": n[5]},
            "ba": {"noise": n[3], "recovered_noise": n[4]},
        },
    }


def test_forward_passes_are_those_of_the_published_code() -> None:
    trainer = load()
    a, _ = images(UNIT["batch"])
    assert_statistics(trainer.encode(a, "content", "a"), UNIT["gen_a.enc(A)"])
    assert_statistics(trainer.translate(a, "ab"), UNIT["gen_b.decode(gen_a.enc(A))"])
    logits = trainer.infer("real_logits", {"a": a}, "ba")
    assert len(logits) == 3
    for scale, value in enumerate(logits):
        assert_statistics(value, UNIT[f"dis_a(A)[{scale}]"])


def test_three_training_steps_are_those_of_the_published_code() -> None:
    assert_steps_of_two_domains(load(), UNIT, NAMES, WEIGHTS, given_noise)


def test_the_figures_depend_on_the_noise() -> None:
    """The check of the check: with the trainer's own noise the losses are others, those that no discriminator judges
    too."""
    a, b = images(UNIT["batch"])
    report = load().step({"a": a, "b": b}, 0)
    for theirs in ("dis_b", "gen_cyc_x_a"):
        assert not close(report[NAMES[theirs]], UNIT["steps"][0][f"loss_{theirs}"])
