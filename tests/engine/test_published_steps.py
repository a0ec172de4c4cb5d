"""The plain steps, which the engine is timed against: they have the recipes' objective, and call networks as often."""

import pytest
import torch
from loaded import CATALOG
from shrink import small
from torch import nn

import i2i_forge
from i2i_forge.engine.build import build_trainer
from i2i_forge.nn import LayerNorm as OurLayerNorm
from i2i_forge.study.bench_steps import images_of, plain_steps
from i2i_forge_benchmarks.methods import calls_of, counted
from i2i_forge_plugins.plain_steps.munit_networks import LayerNorm
from i2i_forge_plugins.plain_steps.munit_step import MunitStep
from i2i_forge_plugins.plain_steps.table import PLAIN_STEPS

OURS_LESS = {  # the discriminator's turn needs no styles, and takes the contents from the generator's
    "munit_edge2shoes": {"style_encoder": 2, "content_encoder": 2},
    "unit_edges2shoes": {"encoder": 2},
}


@pytest.mark.parametrize("recipe", PLAIN_STEPS)
def test_no_network_is_called_more_often_than_published(recipe: str) -> None:
    ours, published = calls_of(recipe), PLAIN_STEPS[recipe].calls
    assert set(ours) == set(published)
    for role, count in published.items():
        assert ours[role] == count - OURS_LESS.get(recipe, {}).get(role, 0), role


@pytest.mark.parametrize("recipe", PLAIN_STEPS)
def test_the_plain_steps_call_what_the_table_says(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)  # that of torch 2.11 needs values
    checked = i2i_forge.load_recipe(recipe)
    trainer = build_trainer(checked, CATALOG, "meta")
    images = images_of(checked, "meta")
    with torch.device("meta"):
        step = PLAIN_STEPS[recipe].on(trainer.networks)
        assert counted(trainer, lambda: step(images)) == PLAIN_STEPS[recipe].calls


def test_all_six_methods_are_there() -> None:
    methods = {i2i_forge.load_recipe(recipe).trainer for recipe in PLAIN_STEPS}
    assert methods == {"munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "augmented_cyclegan"}
    assert plain_steps() == PLAIN_STEPS  # as `forge bench` finds them


# ---- MUNIT's, loss by loss -------------------------------------------------------------------------------------------

TINY = small(8, content_encoder="", style_encoder="", decoder="mlp_dim=16", discriminator="")


def copy(ours: list[nn.Module], theirs: list[nn.Module]) -> None:
    """Weights from layer to layer: convolutions, linear maps and layer norms stand in the same order."""
    for kind in ((nn.Conv2d, nn.Conv2d), (nn.Linear, nn.Linear), (OurLayerNorm, LayerNorm)):
        found = [[m for network in side for m in network.modules() if isinstance(m, k)]
                 for side, k in zip((ours, theirs), kind, strict=True)]  # fmt: skip
        for mine, other in zip(*found, strict=True):
            other.load_state_dict(mine.state_dict())


def test_losses_of_two_steps_are_those_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer(i2i_forge.load_recipe("munit_edge2shoes", set=TINY), CATALOG)
    plain = MunitStep(width=8, mlp_dim=16)
    for domain in "ab":
        nets = {role: networks[domain] for role, networks in trainer.networks.items()}
        gen = plain.gens[domain]
        copy([nets["content_encoder"], nets["style_encoder"], nets["decoder"]],
             [gen.content, gen.style, gen.decoder, gen.mlp])  # fmt: skip
        copy([nets["discriminator"]], [plain.diss[domain]])
    draws = torch.Generator().manual_seed(1)
    a, b = (torch.rand(1, 3, 64, 64, generator=draws) * 2 - 1 for _ in "ab")
    for step in range(2):
        styles = [torch.randn(1, 8, 1, 1, generator=draws) for _ in range(4)]
        given = {
            phase: {"ba": {"random_style": to_a}, "ab": {"random_style": to_b}}
            for phase, to_a, to_b in (("discriminator", *styles[:2]), ("generator", *styles[2:]))
        }
        report = trainer.step({"a": a, "b": b}, step, given)
        left = iter(styles)
        with monkeypatch.context() as patched:
            patched.setattr(torch, "randn", lambda *shape, left=left, **_: next(left))
            found = plain.step(a, b)
        weights = {"image": 10}
        for phase, total in found.items():
            mine = sum(weights.get(name.split("/")[1], 1) * v for name, v in report.items() if name.startswith(phase))
            assert total == pytest.approx(mine, rel=1e-4 if step == 0 else 1e-2)
