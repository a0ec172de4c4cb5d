"""Figures of the published UNIT code, measured in float64 with weights, images and noise given by formulas.

`unit_golden.json` holds them with the formulas (`recipe`). Everything here goes through the public interface.
"""

import json
from pathlib import Path

import pytest
import torch
from formulas import assert_statistics, close, drawn, images, weights
from loaded import FORMATS
from torch import Tensor

import i2i_forge
from i2i_forge.run.foreign import load_foreign

GOLDEN = json.loads((Path(__file__).parent / "unit_golden.json").read_text())
UNIT = GOLDEN["unit"]
TINY = [f"networks.{role}.{option}" for role in ("encoder", "decoder") for option in ("width=8", "blocks=2")]
TINY += ["networks.discriminator.width=8"]
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
ROLES = {"gen": ("encoder", "decoder"), "dis": ("discriminator",)}


def load(folder: Path) -> i2i_forge.Trainer:
    trainer = i2i_forge.build_trainer(i2i_forge.load_recipe("unit_edges2shoes", set=TINY), dtype=torch.float64)
    gen, dis = GOLDEN["shapes"]["gen_a"], GOLDEN["shapes"]["dis_a"]
    torch.save({"a": weights(gen, 0.0), "b": weights(gen, 0.5)}, folder / "gen_00000000.pt")
    torch.save({"a": weights(dis, 1.0), "b": weights(dis, 1.5)}, folder / "dis_00000000.pt")
    load_foreign(
        trainer,
        {"gen": folder / "gen_00000000.pt", "dis": folder / "dis_00000000.pt"},
        "nvlabs-unit",
        FORMATS,
    )
    return trainer


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


def test_forward_passes_are_those_of_the_published_code(tmp_path: Path) -> None:
    trainer = load(tmp_path)
    a, _ = images(UNIT["batch"])
    assert_statistics(trainer.encode(a, "content", "a"), UNIT["gen_a.enc(A)"])
    assert_statistics(trainer.translate(a, "ab"), UNIT["gen_b.decode(gen_a.enc(A))"])
    logits = trainer.infer("real_logits", {"a": a}, "ba")
    assert len(logits) == 3
    for scale, value in enumerate(logits):
        assert_statistics(value, UNIT[f"dis_a(A)[{scale}]"])


def test_three_training_steps_are_those_of_the_published_code(tmp_path: Path) -> None:
    trainer = load(tmp_path)
    a, b = images(UNIT["batch"])
    assert len(UNIT["steps"]) == 3
    for step, expected in enumerate(UNIT["steps"]):
        report = trainer.step({"a": a, "b": b}, step, given=given_noise(step))
        assert set(report) == set(NAMES.values())
        for theirs, ours in NAMES.items():
            assert close(report[ours], expected[f"loss_{theirs}"]), (step, ours)
        for phase, total in (("discriminator", "loss_dis_total"), ("generator", "loss_gen_total")):
            ours_total = sum(v * WEIGHTS[k.split("/")[1]] for k, v in report.items() if k.startswith(phase))
            assert close(ours_total, expected[total]), (step, total)
    state = trainer.state_dict()
    for network, expected_sum in UNIT["param_abs_sum_after"].items():
        part, domain = network.split("_")
        own = [v for k, v in state.items() if k.split(".")[0] in ROLES[part] and k.split(".")[1] == domain]
        assert close(sum(v.abs().sum().item() for v in own), expected_sum), network


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
def test_the_figures_depend_on_the_noise(phase: str, tmp_path: Path) -> None:
    """The check of the check: with the trainer's own noise in one phase that phase's losses are others."""
    trainer = load(tmp_path)
    a, b = images(UNIT["batch"])
    given = given_noise(0)
    del given[phase]
    report = trainer.step({"a": a, "b": b}, 0, given=given)
    theirs = {"discriminator": "dis_b", "generator": "gen_cyc_x_a"}[phase]
    assert not close(report[NAMES[theirs]], UNIT["steps"][0][f"loss_{theirs}"])
