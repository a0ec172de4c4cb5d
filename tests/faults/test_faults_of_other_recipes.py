"""Weights, runs and options that are of another recipe: 84, 85 and 106."""

import pytest
import torch

from i2i_forge.build import build_trainer
from i2i_forge.checkpoint import initialise
from i2i_forge.errors import UsageError
from i2i_forge.plugins import load_plugins
from i2i_forge.recipe import read_recipe

NARROW = tuple(f"networks.{role}.width=4" for role in ("encoder", "decoder", "discriminator"))


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().catalog


def trainer_of(catalog, recipe, *changes):
    return build_trainer(read_recipe(recipe, set=[*NARROW, *changes]), catalog)


def exported(trainer, layout, folder, **names):
    """Its parts in files of the given names."""
    files = {}
    for part, content in trainer.format(layout).save(trainer.state_dict()).items():
        if part in names:
            files[part] = folder / names[part]
            torch.save(content, files[part])
    return files


def same(one, other, roles):
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(theirs[name], value) for name, value in mine.items() if name.startswith(roles))


@pytest.fixture
def generators(catalog, tmp_path):
    """A CycleGAN, and its two generators in files whose names do not tell them apart, as they are published."""
    trainer = trainer_of(catalog, "cyclegan_synthetic", "seed=5")
    files = exported(trainer, "junyanz-cyclegan", tmp_path, G_A="horse2zebra.pth", G_B="zebra2horse.pth")
    return trainer, files


def test_84_two_files_for_one_part_are_refused(catalog, generators):
    first, second = generators[1].values()
    trainer = trainer_of(catalog, "cyclegan_synthetic", "seed=6")
    with pytest.raises(UsageError, match=rf"{first} and {second} are both 'G_A'") as caught:
        initialise(trainer, [first, second], pytest.fail)
    assert "PART=FILE; the parts are G_A, G_B, D_A, D_B" in caught.value.fix
    assert same(trainer, trainer_of(catalog, "cyclegan_synthetic", "seed=6"), "")


def test_84_the_part_of_a_file_can_be_said(catalog, generators):
    whole, files = generators
    trainer, said = trainer_of(catalog, "cyclegan_synthetic", "seed=6"), []
    origin = initialise(trainer, [f"{part}={file}" for part, file in files.items()], said.append)
    assert same(whole, trainer, ("encoder.", "decoder.")) and not same(whole, trainer, "discriminator.")
    assert origin == {"from": [f"{part}={file}" for part, file in files.items()], "format": "junyanz-cyclegan"}
    assert len(said) == 1 and "holds no discriminator.a, discriminator.b" in said[0]


def test_84_what_stays_random_is_said(catalog, generators):
    """One generator of two: of roles with a network for each domain, one is read."""
    trainer, said = trainer_of(catalog, "cyclegan_synthetic"), []
    initialise(trainer, [generators[1]["G_A"]], said.append)
    assert "holds no encoder.b, decoder.a, discriminator.a, discriminator.b: freshly drawn" in said[0]


def test_84_of_two_layouts_that_know_a_file_the_one_that_fits_is_taken(catalog, tmp_path):
    """A U-Net alone could be a generator of CycleGAN too."""
    whole = trainer_of(catalog, "pix2pix_synthetic", "seed=5")
    files = exported(whole, "junyanz-pix2pix", tmp_path, G="latest_net_G.pth")
    trainer, said = trainer_of(catalog, "pix2pix_synthetic", "seed=6"), []
    assert initialise(trainer, [files["G"]], said.append)["format"] == "junyanz-pix2pix"
    assert same(whole, trainer, ("encoder.", "decoder."))
