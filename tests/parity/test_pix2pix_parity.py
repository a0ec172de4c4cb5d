"""Figures of the published pix2pix code, measured in float64 with weights and images given by formulas.

`pix2pix_golden.json` holds them with the formulas (`recipe`) and the published names. Weights come in as files.
"""

import json
from pathlib import Path

import pytest
import torch
from formulas import assert_statistics, close, double, images, weights, with_weights
from shrink import small
from torch import Tensor

import i2i_forge

GOLDEN = json.loads((Path(__file__).parent / "pix2pix_golden.json").read_text())
CASE = GOLDEN["case"]
SHAPE = [1, 3, 128, 128]
SETS = small(8, encoder="levels=7", decoder="levels=7 dropout=0.0", discriminator="")
# The published code reports the halves of the discriminator's term. One of them is measured beside it, at a weight that
# is nothing in float64; the other is the rest.
MEASURED = "phases.discriminator.minimize.real=1e-40 * vanilla_generator(real_pair_logits)"
BUFFERS = {"running_mean": torch.zeros, "running_var": torch.ones, "num_batches_tracked": torch.zeros}  # torch's start


def filled(part: str, phase: float) -> dict[str, Tensor]:
    """The formula counts parameters; the statistics of batch norms are as torch makes them."""
    table = [(name, shape, BUFFERS.get(name.rpartition(".")[2])) for name, shape, _ in GOLDEN["names"][part]]
    own = weights([(name, shape) for name, shape, start in table if start is None], phase, rounded=True)
    return {name: own[name] if start is None else start(shape) for name, shape, start in table}


def load(*sets: str) -> i2i_forge.Trainer:
    content = {"G": filled("G", 0.0), "D": filled("D", 0.5)}
    return with_weights(double("pix2pix_facades", *SETS, *sets), "junyanz-pix2pix", content)


def test_forward_passes_are_those_of_the_published_code() -> None:
    """Both were measured in train mode. In inference the U-Net takes the statistics of the batch all the same."""
    trainer, (a, b) = load(), images(SHAPE, rounded=True)
    assert_statistics(trainer.translate(a, "ab"), CASE["G(A)"])
    discriminator = trainer.networks["discriminator"]["shared"].train()
    assert_statistics(discriminator(torch.cat([a, b], dim=1)), CASE["D(B or AB)"])


@pytest.mark.parametrize("reuse", [True, False], ids=["the generator's images", "images of its own"])
def test_three_training_steps_are_those_of_the_published_code(reuse: bool) -> None:
    """Without dropout the discriminator's own translation is the generator's, so both recipes have these figures."""
    trainer = load(MEASURED, *([] if reuse else ["phases.discriminator.reuse=~"]))
    a, b = images(SHAPE, rounded=True)
    for step, expected in enumerate(CASE["steps"]):
        report = trainer.step({"a": a, "b": b}, step)
        real = report["discriminator/real/ab"]
        assert close(real, expected["D_real"]), step
        assert close(report["discriminator/gan/ab"] - real, expected["D_fake"]), step
        assert close(report["generator/gan/ab"], expected["G_GAN"]), step
        assert close(100 * report["generator/image/ab"], expected["G_L1"]), step
    own = {"G": 0.0, "D": 0.0}
    for role, networks in trainer.networks.items():
        total = sum(p.abs().sum().item() for network in networks.values() for p in network.parameters())
        own["D" if role == "discriminator" else "G"] += total
    assert all(close(own[part], CASE["param_abs_sum_after"][part]) for part in ("G", "D")), own


def test_the_figures_depend_on_the_skip_connections_place() -> None:
    """The check of the check: read as if the published order were ours, the same file is another network."""
    trainer, (a, _) = load(), images(SHAPE, rounded=True)
    for level, layer in enumerate(trainer.networks["decoder"]["shared"].up[:-1]):
        weight = layer.conv.weight.data
        assert not torch.equal(*weight.chunk(2)), level
        weight.copy_(torch.cat(weight.chunk(2)[::-1]))
    assert not close(trainer.translate(a, "ab").abs().mean().item(), CASE["G(A)"]["abs_mean"])
