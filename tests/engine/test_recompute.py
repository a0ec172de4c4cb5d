"""Roles in run.recompute keep no activations for backward, and change no number."""

import pytest
import torch

import i2i_forge
from i2i_forge.errors import RecipeError
from i2i_forge.run import checkpoint

ROLES = {  # of the recipes at CPU size, those without running statistics
    "munit_synthetic": ["content_encoder", "style_encoder", "decoder", "discriminator"],
    "unit_synthetic": ["encoder", "decoder", "discriminator"],
    "cyclegan_synthetic": ["encoder", "decoder", "discriminator"],
    "cyclegan_noise_synthetic": ["encoder", "decoder", "discriminator"],
    "bicyclegan_synthetic": ["encoder", "decoder", "code_encoder", "discriminator", "vae_discriminator"],
    "augmented_cyclegan_synthetic": ["encoder", "decoder", "discriminator"],
}
IMAGES = {name: torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n, name in enumerate("ab")}


def built(name, roles, *changes):
    recipe = i2i_forge.load_recipe(name, set=[*changes, f"run.recompute=[{', '.join(roles)}]"])
    return i2i_forge.build_trainer(recipe)


def kept(trainer):
    """Bytes that autograd holds at most, as one phase after the other saves them."""
    total = 0

    def save(value):
        nonlocal total
        total += value.nbytes
        return value

    with torch.autograd.graph.saved_tensors_hooks(save, lambda value: value):
        trainer.step(IMAGES, 0)
    return total


@pytest.mark.parametrize("name", ROLES)
def test_the_weights_after_two_steps_are_the_same_to_the_bit(name):
    plain, sparing = built(name, []), built(name, ROLES[name])
    for step in range(2):
        assert plain.step(IMAGES, step) == sparing.step(IMAGES, step)
    assert checkpoint.digest(plain) == checkpoint.digest(sparing)


def test_with_gradient_penalty_and_augmentation():
    """Backward goes through backward, and random numbers are drawn again alike."""
    changes = ["phases.discriminator.minimize.penalty=5 * r1(discriminator, target)",
               "networks.discriminator.augment=[color, cutout]"]  # fmt: skip
    plain, sparing = (built("munit_synthetic", roles, *changes) for roles in ([], ["discriminator"]))
    assert plain.step(IMAGES, 0) == sparing.step(IMAGES, 0)
    assert checkpoint.digest(plain) == checkpoint.digest(sparing)


def test_less_is_kept():
    assert kept(built("munit_synthetic", ROLES["munit_synthetic"])) < kept(built("munit_synthetic", [])) / 5


def test_a_network_that_remembers_passes_is_refused():
    for change in ("networks.content_encoder.norm=batch", "networks.content_encoder.norm=spectral"):
        with pytest.raises(RecipeError, match=r"run\.recompute: content_encoder\.a: its .* remembers each pass"):
            built("munit_synthetic", ["content_encoder"], change)


def test_an_unknown_role_is_named():
    with pytest.raises(RecipeError, match=r"run\.recompute"):
        built("munit_synthetic", ["encodr"])


def test_a_network_can_be_copied():
    import copy

    network = built("munit_synthetic", ["style_encoder"]).networks["style_encoder"]["a"]
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert other(IMAGES["a"]).abs().sum() > 0 == network(IMAGES["a"]).abs().sum()
