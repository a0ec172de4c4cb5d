"""A run's record says which plugin each component of its recipe came from."""

import json

import pytest

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.errors import PluginError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.identity import attribution, plugin_versions

OWN = """\
from i2i_forge import hookimpl

def {name}(input, target):
    "A distance."
    return (input - target).abs().mean()

@hookimpl
def register_components(catalog):
    catalog.losses.add("{name}", {name})
"""


@pytest.fixture
def with_own(tmp_path):
    """All plugins, and two of one's own: a loss `gap`, and an `l1` beside ours."""
    for name in ("gap", "l1"):
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name))
    return load_plugins([tmp_path])


def test_every_component_of_a_recipe_is_attributed(host):
    found = attribution(read_recipe("munit_synthetic"), host)
    assert found == {
        "trainers.munit": "munit (i2i-forge 0.1.0)",
        "datasets.procedural_shoes": "procedural_shoes (i2i-forge 0.1.0)",
        "encoders.residual_content": "residual_networks (i2i-forge 0.1.0)",
        "encoders.pooled_style": "style_networks (i2i-forge 0.1.0)",
        "decoders.adain_residual": "residual_networks (i2i-forge 0.1.0)",
        "discriminators.multiscale_patch": "discriminators (i2i-forge 0.1.0)",
        "losses.lsgan_discriminator": "adversarial_losses (i2i-forge 0.1.0)",
        "losses.lsgan_generator": "adversarial_losses (i2i-forge 0.1.0)",
        "losses.l1": "distances (i2i-forge 0.1.0)",
    }


def test_streams_and_domains_of_their_own_are_attributed(host):
    changes = ["data.more={use: unpaired_folders, root: more}", "networks.discriminator.per={a: {}, b: {use: pixel}}"]
    found = attribution(read_recipe("cyclegan_synthetic", set=changes), host)
    assert {"datasets.procedural_shoes", "datasets.unpaired_folders"} <= set(found)
    assert {name for name in found if name.startswith("discriminators.")} == {
        "discriminators.patchgan",
        "discriminators.pixel",
    }


def test_a_loss_is_named_as_the_recipe_names_it_and_one_of_weight_0_is_not_used(with_own):
    term = "phases.generator.minimize"
    changes = [f"{term}.gap=2 * gap(cycled, source)", f"{term}.image=l1.l1(reconstruction, source)",
               f"{term}.cycle=0 * mse(cycled, source)", f"{term}.style=~", f"{term}.content=~"]  # fmt: skip
    found = attribution(read_recipe("munit_synthetic", set=changes), with_own)
    folder = next(plugin.distribution for plugin in with_own.plugins if plugin.name == "gap")
    assert found["losses.gap"] == f"gap ({folder})"
    assert found["losses.l1:l1"] == f"l1 ({folder})"
    assert not {"losses.l1", "losses.mse"} & set(found)
    with pytest.raises(PluginError, match="'l1' is both"):
        attribution(read_recipe("munit_synthetic"), with_own)


def test_what_no_plugin_brought_is_no_plugins():
    host = load_plugins()
    host.catalog.registering("(by hand)")
    host.catalog.losses.add("mine", lambda input, target: (input - target).abs().mean())
    recipe = read_recipe("munit_synthetic", set=["phases.generator.minimize.image=mine(cycled, source)"])
    assert attribution(recipe, host)["losses.mine"] == "(by hand)"


def test_a_run_writes_it_down(straight, host):
    environment = json.loads((straight[0] / "env.json").read_text())
    assert environment["components"]["trainers.munit"] == "munit (i2i-forge 0.1.0)"
    assert environment["plugins"] == plugin_versions(host)
