"""Faults of training: steps that are taken, and are not those that were meant."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
from shrink import shrunk

from i2i_forge.build import build_trainer
from i2i_forge.passes import StepPasses
from i2i_forge.plugins import load_plugins
from i2i_forge.recipe import read_recipe

METHODS = (
    "munit_synthetic", "unit_synthetic", "cyclegan_synthetic", "cyclegan_noise_synthetic", "pix2pix_synthetic",
    "bicyclegan_synthetic", "augmented_cyclegan_synthetic", "augmented_cyclegan_edges2shoes_noise",
)  # fmt: skip
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def tiny_trainer(name, *changes):
    """A method's trainer in float64, and images for it: one of each domain where it can take one."""
    catalog, recipe = load_plugins().catalog, read_recipe(name)
    trainer = build_trainer(
        read_recipe(name, set=[*shrunk(recipe, catalog, "none"), *changes]), catalog, "cpu", torch.float64
    )
    count = 2 if name in ("bicyclegan_synthetic", "augmented_cyclegan_synthetic") else 1  # halves, batch norms of codes
    draws = torch.Generator().manual_seed(0)
    return trainer, {name: torch.rand(count, 3, 64, 64, generator=draws, dtype=torch.float64) * 2 - 1 for name in "ab"}


def gradients_of_a_step(trainer, batch):
    """Of every phase, by phase and parameter."""
    trainer._set_mode(training=True)
    passes, found = StepPasses(trainer, batch, 0, {}, phases=trainer.phases), {}
    for phase in trainer.phases:
        with trainer.training_only(phase.trains):
            trainer.losses(phase, passes, 0)[1].backward()
        for name, parameter in trainer.parameters().items():
            if parameter.grad is not None:
                found[phase.name, name], parameter.grad = parameter.grad, None
    return found


def laid(memory_format):
    """A hook on modules: gradients reach their outputs in this memory format."""

    def of_output(module, given, output):
        if isinstance(output, torch.Tensor) and output.dim() == 4 and output.requires_grad:
            output.register_hook(lambda gradient: gradient.contiguous(memory_format=memory_format))

    return of_output


@pytest.mark.parametrize("gradients", FORMATS)
@pytest.mark.parametrize("activations", FORMATS)
@pytest.mark.parametrize("name", METHODS)
def test_76_gradients_of_a_step_in_each_memory_format(name, activations, gradients):
    trainer, batch = tiny_trainer(name)
    expected = gradients_of_a_step(trainer, batch)
    trainer, _ = tiny_trainer(name, f"run.channels_last={str(activations == 'channels_last').lower()}")
    for _, network in trainer.modules():
        for module in network.modules():
            module.register_forward_hook(laid(FORMATS[gradients]))
    batch = {name: images.contiguous(memory_format=FORMATS[activations]) for name, images in batch.items()}
    found = gradients_of_a_step(trainer, batch)
    assert found.keys() == expected.keys()
    largest = max(float(gradient.norm()) for gradient in expected.values())
    for place, gradient in expected.items():  # those of a bias before a norm are nothing but rounding
        assert float((found[place] - gradient).norm()) <= 1e-9 * max(float(gradient.norm()), 1e-3 * largest), place
