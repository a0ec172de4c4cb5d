"""Figures of the published Augmented CycleGAN code, measured in float64 with weights, images and codes by formulas.

`augmented_cyclegan_golden.json` holds them with the formulas (`recipe`). Weights enter through the published layout.
"""

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from formulas import assert_statistics, close, double, drawn, images, weights, with_weights
from loaded import FORMATS
from torch import Tensor

import i2i_forge

GOLDEN = json.loads((Path(__file__).parent / "augmented_cyclegan_golden.json").read_text())
DEFAULT, UNCONDITIONAL, NOISE = "aug default (deterministic encoder, z_gan)", "aug enc_A_B=0", "stoch_cycle_gan"
SHIPPED = "augmented_cyclegan_edges2shoes"
TINY = (
    "networks.encoder.width=8", "networks.decoder.width=8", "networks.discriminator.width=16",
    "networks.code_encoder.width=8", "networks.code_discriminator.width=16",
)  # fmt: skip
# Terms that only report: the weight is lost in the rounding of whatever it is added to.
REPORTS = (
    "phases.discriminator.minimize.real=1e-60 * wgan_generator(real_logits)",
    "phases.generator.minimize.fake=1e-60 * wgan_generator(fake_logits)",
)
CODE_REPORT = "phases.generator.minimize.kl={ba: 1e-60 * kl_unit_variance(mean)}"
FORMAT = "augmented-cyclegan"
PHASES = {"netG_A_B": 0.0, "netG_B_A": 0.5, "netD_A": 1.0, "netD_B": 1.5, "netD_z_B": 2.0, "netE_B": 2.5}
OWNERS = {  # published network -> our networks
    "netG_A_B": ("encoder.a.", "decoder.b."), "netG_B_A": ("encoder.b.", "decoder.a."),
    "netD_A": ("discriminator.a.",), "netD_B": ("discriminator.b.",),
    "netD_z_B": ("code_discriminator.",), "netE_B": ("code_encoder.",),
}  # fmt: skip
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def filled(named: Mapping[str, Tensor], phase: float) -> dict[str, Tensor]:
    """A state dict with weights by the formula; buffers stay, what is registered twice is the same twice."""
    twins = {n.replace(".conv_block.", "."): n for n in named if ".conv_block." in n}
    own = [(n, value.shape) for n, value in named.items() if n not in twins and not n.endswith(BUFFERS)]
    made = weights(own, phase, rounded=True)
    return {n: made.get(twins.get(n, n), value) for n, value in named.items()}


def batch() -> dict[str, Tensor]:
    return dict(zip("ab", images([4, 3, 64, 64], rounded=True), strict=True))


def code(call: int) -> Tensor:
    return drawn(4, 16, call).float().double()


def settings(case: str) -> tuple[str, ...]:
    if case == NOISE:
        return tuple(s for s in TINY if ".code_" not in s) + REPORTS
    return (*TINY, *REPORTS, CODE_REPORT, f"networks.code_encoder.conditional={str(case == DEFAULT).lower()}")


def load(case: str) -> i2i_forge.Trainer:
    trainer = double(f"{SHIPPED}_noise" if case == NOISE else SHIPPED, *settings(case))
    empty = FORMATS.get(FORMAT)().save(trainer.state_dict())["checkpoint"]
    content = {network: filled(named, PHASES[network]) for network, named in empty.items()}
    return with_weights(trainer, FORMAT, {"checkpoint": content})


def figures(report: Mapping[str, float]) -> dict[str, float]:
    """A step's report under the published names."""
    names = {
        "D_A": "discriminator/gan/ba", "D_B": "discriminator/gan/ab", "D_z_B": "discriminator/code_gan/ba",
        "G_A": "generator/gan/ba", "G_B": "generator/gan/ab",
        "Cyc_A": "generator/cycle/ab", "Cyc_B": "generator/cycle/ba", "Cyc_z_B": "generator/code/ab",
        "P_t_A": "discriminator/real/ba", "P_f_A": "generator/fake/ba",
        "P_t_B": "discriminator/real/ab", "P_f_B": "generator/fake/ab", "KLD_z_B": "generator/kl/ba",
    }  # fmt: skip
    # half a sum of two; the mean of logits, not its negative; half the sum over the 16 numbers of a code
    scale = {"D": 0.5, "P": -1.0, "K": 8.0}
    return {theirs: scale.get(theirs[0], 1.0) * report[ours] for theirs, ours in names.items() if ours in report}


def test_forward_passes_are_those_of_the_published_code() -> None:
    golden, trainer, given = GOLDEN[DEFAULT], load(DEFAULT), batch()
    for random_code in (code(0), code(0)[:, :, None, None]):
        assert_statistics(trainer.translate(given["a"], "ab", random_code=random_code), golden["G_A_B(A,z)"])
    assert_statistics(trainer.translate(given["b"], "ba"), golden["G_B_A(B)"])
    assert_statistics(trainer.infer("real_logits", given, "ba"), golden["D_A(A)"])
    assert_statistics(trainer.infer("real_logits", given, "ab"), golden["D_B(B)"])
    # These have batch norm, and the figures are of training mode.
    code_encoder, judge = (trainer.networks[role]["shared"].train() for role in ("code_encoder", "code_discriminator"))
    with torch.no_grad():
        mean, logvar = code_encoder(given["b"], given["a"])
        assert_statistics(judge(code(0)), golden["D_z_B(z)"])
    assert_statistics(mean, golden["E_B(A,B).mu"])
    assert_statistics(logvar, golden["E_B(A,B).logvar"])


def gradient_norms(trainer: i2i_forge.Trainer) -> dict[str, float]:
    """Filled at every optimizer step: the gradient's norm for each of our networks."""
    norms: dict[str, float] = {}

    def record(role: str, *_: Any) -> None:
        for domain, network in trainer.networks[role].items():
            squares = [float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None]
            norms[f"{role}." if domain == "shared" else f"{role}.{domain}."] = math.sqrt(sum(squares))

    for entry in trainer.optimizers:
        for role, optimizer in entry.roles.items():
            optimizer.torch.register_step_pre_hook(partial(record, role))
    return norms


def supervised(case: str, before: i2i_forge.Trainer) -> i2i_forge.Trainer:
    """A trainer of the supervised phases alone that goes on where the unsupervised one stands."""
    sets = [s for s in settings(case) if not s.startswith("phases.")]
    sets += ["phases.supervised.minimize.kl={ab: 1e-60 * kl_unit_variance(mean)}"]
    gone = ("discriminator", "generator", "supervised_discriminator.reuse.random_code")
    trainer: i2i_forge.Trainer = double(f"{SHIPPED}_supervised", *sets, *(f"phases.{keys}=~" for keys in gone))
    trainer.load_state_dict(before.state_dict())
    trainer.load_optimizer_state(before.optimizer_state())
    return trainer


@pytest.mark.parametrize("case", [DEFAULT, UNCONDITIONAL, NOISE])
def test_training_steps_are_those_of_the_published_code(case: str) -> None:
    golden, trainer = GOLDEN[case], load(case)
    for step, expected in enumerate(golden["steps"]):
        report = trainer.step(batch(), step, given={"generator": {"ab": {"random_code": code(step)}}})
        ours = figures(report)
        assert set(ours) == set(expected)
        for name, number in expected.items():
            assert close(ours[name], number), (step, name, ours[name], number)
    if "supervised_step" in golden:
        trainer = supervised(case, trainer)
        norms = gradient_norms(trainer)
        given = {"supervised_discriminator": {"ab": {"random_code": code(3)}}}
        report = trainer.step({"paired": batch()}, 3, given=given)
        ours = {
            "S_A": report["supervised/image/ba"], "S_B": report["supervised/image/ab"],
            "KLD_z_B": 8 * report["supervised/kl/ab"],
            "D_z_B": 0.5 * report["supervised_discriminator/code_gan/ab"],
        }  # fmt: skip
        for network, owners in OWNERS.items():
            if network not in ("netD_A", "netD_B"):  # their turn is not in this step
                ours[f"gnorm_{network[3:]}"] = math.hypot(*(norms[owner] for owner in owners))
        assert set(ours) == set(golden["supervised_step"])
        for name, number in golden["supervised_step"].items():
            assert close(ours[name], number), (name, ours[name], number)
    state = {key: value for key, value in trainer.state_dict().items() if not key.endswith(BUFFERS)}
    for network, expected_sum in golden["param_abs_sum_after"].items():
        own = sum(v.abs().sum().item() for k, v in state.items() if k.startswith(OWNERS[network]))
        assert close(own, expected_sum), network


def test_the_figures_do_not_depend_on_the_trainers_own_noise() -> None:
    """The check of the check: with another code the losses are others, so the given one was used."""
    report = load(DEFAULT).step(batch(), 0)
    assert not close(report["generator/code/ab"], GOLDEN[DEFAULT]["steps"][0]["Cyc_z_B"])
    assert close(report["generator/gan/ba"], GOLDEN[DEFAULT]["steps"][0]["G_A"])  # no code in it
