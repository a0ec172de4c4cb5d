"""The bridge learns, and goes where its velocity says. Run with `pip install -e '.[test]' && pytest`."""

from pathlib import Path

import forge_bridge
import pytest
import torch
from forge_bridge.network import TimeUnet
from forge_bridge.solver import Solver, tiled

import i2i_forge
from i2i_forge.testing import check_plugin

RECIPE = Path(forge_bridge.__file__).parent / "forge_bridge.yaml"
TINY = ["networks.velocity.width=8", "networks.velocity.levels=2", "state.solver.steps=2"]


def test_the_plugin_keeps_its_promises():
    check_plugin("forge_bridge")


@pytest.fixture
def trainer():
    return i2i_forge.build_trainer(i2i_forge.load_recipe(RECIPE, set=TINY))


def images(count, height=32, width=32):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_constant_velocity_arrives_in_one_step():
    x, y = images(4).chunk(2)
    arrived = Solver(steps=1)(lambda at, time, condition: y - condition, x, x)
    assert torch.allclose(arrived, y, atol=1e-6)


def test_half_the_step_leaves_a_quarter_of_the_error():
    def error(steps):
        x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        return abs(Solver(steps)(lambda at, time, condition: at, x, x).item() - torch.e)

    assert error(32) == pytest.approx(error(64) * 4, rel=0.05)


@pytest.mark.parametrize("options", [{"steps": 0}, {"sigma": -0.1}])
def test_options_of_the_solver_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Solver(**options)


def test_the_network_hears_the_time_and_sees_the_source():
    torch.manual_seed(0)
    network = TimeUnet(width=8, levels=2).eval()
    x, time = images(2), torch.tensor([0.2, 0.7])
    assert not torch.allclose(network(x, time, x), network(x, time.flip(0), x))
    assert not torch.allclose(network(x, time, x), network(x, time, -x))


def test_without_velocity_the_translation_is_the_start(trainer):
    for parameter in trainer.networks["velocity"]["shared"].leave.parameters():
        torch.nn.init.zeros_(parameter)
    x, noise = images(1), torch.randn(2, 3, 32, 32)
    assert torch.equal(trainer.translate(x, random_start=noise), x + noise)


def test_one_noise_serves_images_of_any_size():
    noise = torch.arange(6.0).reshape(1, 1, 2, 3)
    tiles = tiled(noise, like=torch.empty(1, 1, 3, 4))
    assert tiles[0, 0].tolist() == [[0, 1, 2, 0], [3, 4, 5, 3], [0, 1, 2, 0]]


def test_one_input_has_as_many_translations_as_starts(trainer):
    translations = trainer.translate(images(1, 40, 56), random_start=torch.randn(5, 3, 32, 32))
    assert translations.shape == (5, 3, 40, 56)
    assert len({t.sum().item() for t in translations}) == 5


def test_times_are_uniform(trainer):
    times = trainer.infer("time", {"a": torch.zeros(4000, 3, 1, 1)}, "ab").sort().values
    assert (times - torch.linspace(0, 1, 4000)).abs().max() < 0.03


def test_it_learns_to_invert_colours(trainer):
    x = images(8, 1, 1).expand(-1, -1, 16, 16)
    losses = [trainer.step({"a": x, "b": -x}, step)["flow/flow/ab"] for step in range(100)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
