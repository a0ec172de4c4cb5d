"""Every shipped recipe: it loads, it is checked, it takes a tiny step, and it says how to run it."""

import functools
import json
import math
import shutil

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from shrink import shrunk

from i2i_forge.data.stream import batches
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.cautions import cautions
from i2i_forge.run.findings import with_findings
from i2i_forge.run.foreign import load_foreign
from i2i_forge.run.loop import Run
from i2i_forge.run.streams import build_streams
from i2i_forge.translate.loading import load

NAMES = sorted(shipped_recipes())
# one of each choice of networks and states, and of data sets: the others have other schedules and weights of terms
KINDS = (
    "augmented_cyclegan_edges2shoes_supervised", "augmented_cyclegan_edges2shoes_noise",
    "augmented_cyclegan_edges2shoes_stochastic", "bicyclegan_synthetic", "bicyclegan_edges2shoes", "bicyclegan_facades",
    "cyclegan_synthetic", "cyclegan_noise_synthetic", "munit_synthetic", "munit_openmoji",
    "pix2pix_synthetic", "pix2pix_noise_edges2shoes", "unit_synthetic", "pix2pix_volumes", "pix2pix_bands",
    "regression_phantom", "cyclegan_volumes",
)  # fmt: skip
NEEDS_FILES = "perceptual"  # a term whose weights have to be downloaded
shipped = functools.cache(read_recipe)


@pytest.fixture(scope="module")
def shoes(catalog, tmp_path_factory):
    """A folder with trainA, trainB, testA, testB, and the same shoes side by side in train and val."""
    folder = tmp_path_factory.mktemp("shoes")
    made = catalog.datasets.get("procedural_shoes")(count=3, test_count=1, paired=True)
    made.write(folder)
    for split, name, count in (("train", "train", 3), ("test", "val", 1)):
        (folder / name).mkdir()
        for index in range(count):
            pair = np.concatenate([made.drawing(split, index), made.photo(split, index)], axis=1)
            Image.fromarray(pair).save(folder / name / f"{index}.png")
    write_cases(folder / "cases")
    return folder


def write_cases(folder):
    """CASE/mr, ct, mask, mr/CASE and ct/CASE as NIfTI, and s1 and s2 with tiles of two scenes: not by our writers."""
    nibabel = pytest.importorskip("nibabel")
    draws = np.random.default_rng(0)
    for case in ("one", "two", "three"):
        for name, low, high in (("mr", 1, 900), ("ct", -1000, 1000), ("mask", 1, 2)):
            voxels = draws.integers(low, high, (64, 64, 2)).astype(np.int16)
            volume = nibabel.Nifti1Image(voxels, np.diag([-2, -2, 5, 1]))
            for file in (folder / case / f"{name}.nii.gz", folder / name / f"{case}.nii.gz"):
                file.parent.mkdir(parents=True, exist_ok=True)
                nibabel.save(volume, file)
    for tile in ("north_1", "north_2", "south_1"):
        for name, bands, kind in (("s1", 2, np.float32), ("s2", 4, np.uint16)):
            (folder / name).mkdir(exist_ok=True)
            pixels = draws.random((bands, 64, 64)) * (-20 if name == "s1" else 5000)
            tifffile.imwrite(folder / name / f"{tile}.tif", pixels.astype(kind), photometric="minisblack",
                             planarconfig="separate")  # fmt: skip


def without_files(name):
    phases = shipped(name).phases
    return [f"{phase}.{NEEDS_FILES}" for phase in phases if NEEDS_FILES in phases[phase].minimize]


@pytest.fixture(scope="module")
def tiny(catalog, shoes):
    """A shipped recipe for two steps of moments."""
    return functools.cache(
        lambda name: read_recipe(name, set=shrunk(shipped(name), catalog, shoes), drop=without_files(name))
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_it_exists_and_it_can_be_written_and_read_back(name, vocabulary, tmp_path):
    recipe = read_recipe(shipped_recipes()[name], vocabulary=vocabulary)
    assert recipe.name == name and recipe.model_dump() == shipped(name).model_dump()
    (tmp_path / "copy.yaml").write_text(recipe.to_yaml())
    for file in (shipped_recipes()[name], tmp_path / "copy.yaml"):
        again = read_recipe(file)
        assert (again.model_dump(), again.to_data()) == (recipe.model_dump(), recipe.to_data())


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
def test_one_step_fits_together_at_its_own_size_and_means_what_it_says(name, catalog):
    """On tensors without data; the settings are those of the file."""
    recipe = read_recipe(name, drop=without_files(name))
    traced = trace_recipe(recipe, catalog)
    assert traced and cautions(recipe, catalog, traced) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in KINDS])
def test_a_tiny_step_has_every_term(name, catalog, tiny):
    recipe = with_findings(tiny(name), catalog, None, print)
    batch = next(iter(batches(build_streams(recipe, catalog)[0], 0, 1, 0, False)))
    assert_terms(build_trainer(recipe, catalog).step(batch, 0), recipe)


def assert_terms(losses, recipe):
    """There is a finite number of every term of the recipe, and of no other."""
    terms = {(phase, term) for phase, plan in recipe.phases.items() for term in plan.minimize}
    assert {tuple(key.split("/")[:2]) for key in losses} == terms
    assert all(math.isfinite(value) for value in losses.values())


def test_the_kinds_are_all_there_are(tiny):
    def kind(name):
        data = tiny(name).to_data()
        return json.dumps([data["trainer"], data["networks"], data.get("state")])

    def streams(name):
        return tuple((stream, spec.use) for stream, spec in shipped(name).data.streams.items())

    assert len({kind(name) for name in KINDS}) == len(KINDS)
    for of in (kind, streams):
        assert {of(name) for name in KINDS} == {of(name) for name in NAMES}


@pytest.mark.parametrize("name", KINDS)
def test_a_tiny_run_is_recorded_resumed_and_used(name, host, tiny, tmp_path):
    straight = Run(tiny(name), host, tmp_path / "straight", source=name)
    assert straight.train() == 2
    lines = [json.loads(line) for line in (tmp_path / "straight/metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert_terms({key: value for key, value in line.items() if key.count("/") == 2}, tiny(name))
    assert len(list((tmp_path / "straight/samples").iterdir())) == 2 * len(straight.trainer.routes)

    shutil.copytree(tmp_path / "straight", tmp_path / "stopped")  # as it was after the first step
    shutil.rmtree(tmp_path / "stopped/checkpoints/step-00000002")
    resumed = Run(tiny(name), host, tmp_path / "stopped", source=name)
    assert resumed.train() == 2
    assert checkpoint.digest(resumed.trainer) == checkpoint.digest(straight.trainer)

    translator = load(tmp_path / "straight", catalog=host.catalog)
    for route in straight.trainer.routes:
        channels = len(straight.trainer.ends(route)[0])
        x = torch.rand(1, channels, 72, 56, generator=torch.Generator().manual_seed(0)) * 2 - 1
        y = translator.translate(x, route)
        assert y.shape[2:] == x.shape[2:]
        assert torch.isfinite(y).all()


def layouts_of(trainer, catalog):
    """The layouts of published code for a method."""
    return [e.name for e in catalog.formats.entries() if shipped(e.component.recipe).trainer == trainer]


@pytest.mark.parametrize("name", KINDS)
def test_it_is_exported_and_comes_back(name, catalog, tiny, tmp_path):
    networks = tiny(name).model_copy(update={"phases": {}})  # all that there is to export
    trained, fresh = (build_trainer(networks.model_copy(update={"seed": seed}), catalog) for seed in (1, 2))
    for layout in layouts_of(shipped(name).trainer, catalog):
        files, writer = {}, catalog.formats.get(layout)()
        for part, content in writer.save(trained.state_dict()).items():
            files[part] = tmp_path / writer.file.format(part=part, step=2)
            torch.save(content, files[part])
        load_foreign(fresh, files, layout, catalog.formats)
        loaded = fresh.state_dict()
        for key, value in trained.state_dict().items():
            assert torch.equal(value, loaded[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_its_first_line_is_its_command(name):
    first, *rest = shipped_recipes()[name].read_text().splitlines()
    command = first.removeprefix("# ").split("  ")[0].split()
    assert command[:3] == ["forge", "train", name]
    recipe = shipped(name)
    places = {"main": "data.root=DIR", "paired": "data.paired.root=PAIRS"}  # it names what has to be given
    given = [["--set", places[name]] for name, stream in recipe.data.streams.items() if "root" in stream.options]
    assert command[3:] == [word for pair in given for word in pair]
    assert rest[0].startswith("# "), "a second line says what it is"
    assert max(map(len, (first, *rest))) <= 120


def test_there_are_the_published_ones():
    published = {"munit_edge2shoes", "munit_edges2handbags", "munit_summer2winter", "munit_synthia2cityscape"}
    assert published | {"munit_demo_edges2handbags", "munit_synthetic"} <= set(NAMES)
