"""Figures of the published pix2pix code, measured in float64 with weights and images given by formulas.

`pix2pix_golden.json` holds them with the formulas (`recipe`) and the published names. Weights come in as files.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import FORMATS
from shrink import small
from torch import Tensor

import i2i_forge
from i2i_forge.run.foreign import load_foreign

GOLDEN = json.loads((Path(__file__).parent / "pix2pix_golden.json").read_text())
CASE = GOLDEN["case"]
RELATIVE = 1e-9
SETS = [*small(8, encoder="levels=7", decoder="levels=7 dropout=0.0", discriminator="")]
# The published code reports the halves of the discriminator's term. One of them is measured beside it, at a weight that
# is nothing in float64; the other is the rest.
MEASURED = "phases.discriminator.minimize.real=1e-40 * vanilla_generator(real_pair_logits)"


def weights(table: list[tuple[str, list[int], str]], phase: float) -> dict[str, Tensor]:
    """The formula counts parameters; the statistics of batch norms are as torch makes them."""
    made, k = {}, 0
    for name, shape, _ in table:
        if "running" in name or "batches" in name:
            made[name] = torch.ones(shape) if name.endswith("var") else torch.zeros(shape)
            continue
        count = math.prod(shape)
        wave = torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + 1.3 * k + phase).reshape(shape)
        if len(shape) > 1:
            made[name] = wave / math.sqrt(count / shape[0])
        else:
            made[name] = 1 + 0.1 * wave if name.endswith("weight") else 0.1 * wave
        k += 1
    return {n: v.long() if n.endswith("batches_tracked") else v.float() for n, v in made.items()}


def images() -> tuple[Tensor, Tensor]:
    n, c, y, x = torch.meshgrid(*(torch.arange(s, dtype=torch.float64) for s in (1, 3, 128, 128)), indexing="ij")
    a = torch.sin(0.13 * x + 0.17 * y + 1.1 * c + 2.3 * n)
    b = torch.cos(0.11 * x - 0.19 * y + 0.7 * c + 1.7 * n)
    return a.float().double(), b.float().double()


def load(folder: Path, *sets: str) -> i2i_forge.Trainer:
    for part, phase in (("G", 0.0), ("D", 0.5)):
        torch.save(weights(GOLDEN["names"][part], phase), folder / f"latest_net_{part}.pth")
    recipe = i2i_forge.load_recipe("pix2pix_facades", set=[*SETS, *sets])
    trainer = i2i_forge.build_trainer(recipe, dtype=torch.float64)
    load_foreign(
        trainer,
        {part: folder / f"latest_net_{part}.pth" for part in ("G", "D")},
        "junyanz-pix2pix",
        FORMATS,
    )
    return trainer


def close(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=RELATIVE, abs_tol=0)


def assert_statistics(value: Tensor, expected: Mapping[str, Any]) -> None:
    assert list(value.shape) == expected["shape"]
    assert value.dtype == torch.float64
    assert close(value.abs().mean().item(), expected["abs_mean"])
    # A mean of numbers that cancel is exact to their size, not to its own.
    assert math.isclose(value.mean().item(), expected["mean"], rel_tol=RELATIVE, abs_tol=1e-12)
    assert close(value.std().item(), expected["std"])
    assert len(expected["at"]) == 4
    for index, number in expected["at"].items():
        assert close(value.flatten()[int(index)].item(), number), index


def test_forward_passes_are_those_of_the_published_code(tmp_path: Path) -> None:
    """Both were measured in train mode. In inference the U-Net takes the statistics of the batch all the same."""
    trainer, (a, b) = load(tmp_path), images()
    assert_statistics(trainer.translate(a, "ab"), CASE["G(A)"])
    discriminator = trainer.networks["discriminator"]["shared"].train()
    assert_statistics(discriminator(torch.cat([a, b], dim=1)), CASE["D(B or AB)"])


@pytest.mark.parametrize("reuse", [True, False], ids=["the generator's images", "images of its own"])
def test_three_training_steps_are_those_of_the_published_code(reuse: bool, tmp_path: Path) -> None:
    """Without dropout the discriminator's own translation is the generator's, so both recipes have these figures."""
    trainer = load(tmp_path, MEASURED, *([] if reuse else ["phases.discriminator.reuse=~"]))
    a, b = images()
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


def test_the_figures_depend_on_the_skip_connections_place(tmp_path: Path) -> None:
    """The check of the check: read as if the published order were ours, the same file is another network."""
    trainer, (a, _) = load(tmp_path), images()
    for level, layer in enumerate(trainer.networks["decoder"]["shared"].up[:-1]):
        weight = layer.conv.weight.data
        assert not torch.equal(*weight.chunk(2)), level
        weight.copy_(torch.cat(weight.chunk(2)[::-1]))
    assert not close(trainer.translate(a, "ab").abs().mean().item(), CASE["G(A)"]["abs_mean"])
