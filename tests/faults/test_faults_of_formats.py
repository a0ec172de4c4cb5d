"""Memory formats (76) and the default dtype (87) change no number."""

from functools import cache

import pytest
import torch
from loaded import CATALOG
from shrink import shrunk

import i2i_forge
from i2i_forge.data import stream
from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.passes import StepPasses
from i2i_forge.measure.mode_classifier import load_classifier, random_classifier, save_classifier
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.streams import build_streams

METHODS = (
    "munit_synthetic", "unit_synthetic", "cyclegan_synthetic", "cyclegan_noise_synthetic", "pix2pix_synthetic",
    "bicyclegan_synthetic", "augmented_cyclegan_synthetic", "augmented_cyclegan_edges2shoes_noise",
)  # fmt: skip
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def tiny_trainer(name, *changes):
    """A method's trainer in float64, and images for it: one of each domain where it can take one."""
    recipe = read_recipe(name, set=[*shrunk(read_recipe(name), CATALOG, "none"), *changes])
    trainer = build_trainer(recipe, CATALOG, "cpu", torch.float64)
    count = 2 if name in ("bicyclegan_synthetic", "augmented_cyclegan_synthetic") else 1  # halves, batch norms of codes
    draws = torch.Generator().manual_seed(0)
    return trainer, {name: torch.rand(count, 3, 64, 64, generator=draws, dtype=torch.float64) * 2 - 1 for name in "ab"}


@cache
def expected_gradients(name):
    """Those of a step in the usual memory format."""
    return gradients_of_a_step(*tiny_trainer(name))


def gradients_of_a_step(trainer, batch):
    """Of every phase, by phase and parameter."""
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
    expected = expected_gradients(name)
    trainer, batch = tiny_trainer(name, f"run.channels_last={str(activations == 'channels_last').lower()}")
    for _, network in trainer.modules():
        for module in network.modules():
            module.register_forward_hook(laid(FORMATS[gradients]))
    batch = {name: images.contiguous(memory_format=FORMATS[activations]) for name, images in batch.items()}
    found = gradients_of_a_step(trainer, batch)
    assert found.keys() == expected.keys()
    largest = max(float(gradient.norm()) for gradient in expected.values())
    for place, gradient in expected.items():  # those of a bias before a norm are nothing but rounding
        assert float((found[place] - gradient).norm()) <= 1e-9 * max(float(gradient.norm()), 1e-3 * largest), place


@pytest.fixture(params=[torch.float64, torch.float16, torch.bfloat16], ids=str)
def under(request):
    """What a call gives, and what it gives under another default dtype."""

    def both(call):
        expected = call()
        torch.set_default_dtype(request.param)
        try:
            return call(), expected
        finally:
            torch.set_default_dtype(torch.float32)

    return both


def test_87_training_and_translating(under):
    recipe = read_recipe("munit_synthetic", set=[*shrunk(read_recipe("munit_synthetic"), CATALOG, "none")])

    def learnt():
        streams, tests = build_streams(recipe, CATALOG)
        trainer = build_trainer(recipe, CATALOG)
        trainer.step(streams["main"].batch(0), 0)
        return {
            **trainer.state_dict(),
            **trainer.optimizer_state(),
            "y": trainer.translate(stream.test_batch(tests, 1)["a"]),
        }

    found, expected = under(learnt)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_87_a_run_is_loaded(munit_run, under):
    def translated():
        translator = i2i_forge.load(munit_run)
        x = torch.linspace(-1, 1, 3 * 64 * 64, dtype=torch.float32).view(1, 3, 64, 64)
        return translator.translate(x), translator.trainer.encode(x, "style", "b")

    for one, other in zip(*under(translated), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other)


@pytest.mark.parametrize(("metric", "backbone"), [("lpips-diversity", "random"), ("ssim", "")])
def test_87_measuring(metric, backbone, under):
    draws = torch.Generator().manual_seed(0)
    images, real = (torch.rand(*shape, 3, 64, 64, generator=draws) for shape in ((2, 2), (2,)))
    found, expected = under(lambda: i2i_forge.measure(
        metric, images, real=real, truths=real, range=(0, 1), backbone=backbone, catalog=CATALOG))  # fmt: skip
    assert found == expected


def test_87_a_classifier_is_loaded(tmp_path, under):
    save_classifier(random_classifier(3), tmp_path / "classifier")
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    for one, other in zip(*under(lambda: [made(x) for made in (
        load_classifier(tmp_path / "classifier"), random_classifier(3))]), strict=True):  # fmt: skip
        assert one.dtype == torch.float32 and torch.equal(one, other)
