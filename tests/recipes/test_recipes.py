"""Every shipped recipe: it loads, it is checked, it takes two tiny steps, and it says how to run it."""

import json
import math

import pytest
import yaml

from i2i_forge.build import trace_recipe
from i2i_forge.plugins import find_plugins, load_plugins, read_vocabulary
from i2i_forge.recipe import read_recipe, shipped_recipes
from i2i_forge.run import Run

NAMES = sorted(shipped_recipes())
TINY = (
    "steps=2", "data.batch=1", "data.workers=0",
    "networks.content_encoder.width=4", "networks.content_encoder.blocks=1",
    "networks.style_encoder.width=4",
    "networks.decoder.width=4", "networks.decoder.blocks=1", "networks.decoder.mlp_dim=8",
    "networks.discriminator.width=4", "networks.discriminator.scales=1", "networks.discriminator.layers=2",
    "run.log_every=1", "run.sample_inputs=1", "run.sample_styles=1",
)  # fmt: skip
NEEDS_FILES = "perceptual"  # a term whose weights have to be downloaded


@pytest.fixture(scope="module")
def host():
    return load_plugins()


@pytest.fixture(scope="module")
def vocabulary():
    return read_vocabulary(find_plugins())


@pytest.fixture(scope="module")
def shoes(host, tmp_path_factory):
    """A folder with trainA, trainB, testA, testB."""
    folder = tmp_path_factory.mktemp("shoes")
    host.catalog.datasets.get("procedural_shoes")(count=3, test_count=1).write(folder)
    return folder


def without_files(name):
    recipe = read_recipe(name)
    return [f"{phase}.{NEEDS_FILES}" for phase in recipe.phases if NEEDS_FILES in recipe.phases[phase].minimize]


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_and_every_name_in_it_exists(name, vocabulary):
    recipe = read_recipe(name, vocabulary=vocabulary)
    assert recipe.name == name
    assert read_recipe(shipped_recipes()[name]).model_dump() == recipe.model_dump()


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_written_and_read_back(name, tmp_path):
    recipe = read_recipe(name)
    (tmp_path / "copy.yaml").write_text(recipe.to_yaml())
    assert read_recipe(tmp_path / "copy.yaml").model_dump() == recipe.model_dump()


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_needs_and_not_more(name):
    """No recipe repeats what its base says already."""
    written = yaml.safe_load(shipped_recipes()[name].read_text())
    if "base" not in written:
        return
    base = read_recipe(shipped_recipes()[name].parent / written.pop("base")).to_data()

    def repeated(here, there, keys=()):
        for key, value in here.items():
            if isinstance(value, dict) and isinstance(there.get(key), dict):
                yield from repeated(value, there[key], (*keys, key))
            elif key in there and there[key] == value:
                yield ".".join((*keys, key))

    assert list(repeated(written, base)) == []


@pytest.mark.parametrize("name", NAMES)
def test_one_step_fits_together_at_its_own_size(name, host):
    """On tensors without data; the settings are those of the file."""
    recipe = read_recipe(name, drop=without_files(name))
    assert trace_recipe(recipe, host.catalog)


@pytest.mark.parametrize("name", NAMES)
def test_two_tiny_steps(name, host, shoes, tmp_path):
    data = read_recipe(name).data
    changes = [*TINY, f"data.size={64 if isinstance(data.options.get('size'), int) else [64, 64]}"]
    changes += [f"data.root={shoes}"] if "root" in data.options else ["data.count=3", "data.test_count=1"]
    changes += ["data.resize=64"] if "resize" in data.options else []
    recipe = read_recipe(name, set=changes, drop=without_files(name))
    assert Run(recipe, host, tmp_path, source=name).train() == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    terms = {(phase, term) for phase in recipe.phases for term in recipe.phases[phase].minimize}
    assert len(lines) == 2
    for line in lines:
        losses = {key: value for key, value in line.items() if key.count("/") == 2}
        assert {tuple(key.split("/")[:2]) for key in losses} == terms
        assert all(math.isfinite(value) for value in losses.values())
    assert len(list((tmp_path / "samples").iterdir())) == 4
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


@pytest.mark.parametrize("name", NAMES)
def test_its_first_line_is_its_command(name):
    first, *rest = shipped_recipes()[name].read_text().splitlines()
    command = first.removeprefix("# ").split("  ")[0].split()
    assert command[:3] == ["forge", "train", name]
    recipe = read_recipe(name)
    if "root" in recipe.data.options:  # it names what has to be given
        assert command[3:] == ["--set", "data.root=DIR"]
    else:
        assert command[3:] == []
    assert rest[0].startswith("# "), "a second line says what it is"
    assert max(map(len, (first, *rest))) <= 120


def test_there_are_the_published_ones():
    published = {"munit_edge2shoes", "munit_edges2handbags", "munit_summer2winter", "munit_synthia2cityscape"}
    assert published | {"munit_demo_edges2handbags", "munit_synthetic"} <= set(NAMES)
