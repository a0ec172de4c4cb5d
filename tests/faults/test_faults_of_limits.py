"""Numbers that are too large, and sizes that networks cannot take: 101, 103, 104. All is said before work begins."""

import re

import pytest
import torch

from i2i_forge.cli.common import chosen_device
from i2i_forge.data.stream import Stream, batches
from i2i_forge.data.transforms import Transform
from i2i_forge.engine.build import build_trainer, trace_recipe
from i2i_forge.engine.image_sizes import size_problem
from i2i_forge.errors import DataError, RecipeError, ResourceError, UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import cautions
from i2i_forge.translate.tiles import Tiling
from i2i_forge.translate.translator import Translator
from i2i_forge_plugins.backbones.lpips import random_lpips

CPU = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes. Error code 12"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.workers", 100_000), ("data.workers", 2**70), ("run.sample_inputs", 10**12),
        ("run.sample_styles", 10**12), ("networks.decoder.blocks", 10**6),
    ],
)  # fmt: skip
def test_101_numbers_that_would_never_end_are_refused_when_a_recipe_is_read(vocabulary, key, value):
    with pytest.raises(RecipeError, match=rf"{key}: .*{value}"):
        read_recipe("munit_synthetic", set=[f"{key}={value}"], vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 2**63), ("steps", 10**30), ("data.timeout", "1e300"), ("run.rank_timeout", "1e300"),
        ("data.batch", 10**15), ("data.batch", 2**63), ("run.keep", 2**63), ("networks.decoder.width", 10**12),
        ("networks.decoder.width", 2**62),
    ],
)  # fmt: skip
def test_103_numbers_that_overflow_are_refused_when_a_recipe_is_read(vocabulary, key, value):
    with pytest.raises(RecipeError, match=f"{key}: "):
        read_recipe("munit_synthetic", set=[f"{key}={value}"], vocabulary=vocabulary)


def test_103_the_most_steps_there_may_be_are_trained(forge_watch, tmp_path):
    inject = "from i2i_forge.run import forecast; forecast.ENOUGH = 0.1"
    settings = {"steps": 10**12, "every": 3, "changes": ("run.log_every=1000",)}
    process = forge_watch.start_training(tmp_path / "run", inject=inject, **settings)
    forge_watch.wait_for_step(process, tmp_path / "run", 3)
    ended = forge_watch.end(process, 15).refused(143, "everything is saved")
    assert "step 1/1000000000000" in ended.err  # though one line is logged every 1000 steps
    assert re.search(r"about [\d,]+ years on cpu", ended.err), ended.err


def build(catalog, *changes, recipe="munit_synthetic"):
    return build_trainer(read_recipe(recipe, set=changes), catalog)


def test_101_a_network_without_end_is_found_before_it_is_built(catalog):
    with pytest.raises(RecipeError, match=r"networks.decoder: it has more than 20,000 layers"):
        build(catalog, "networks.decoder.blocks=60000")
    with pytest.raises(ResourceError, match=r"networks.decoder: its weights alone take more than"):
        build(catalog, "networks.decoder.width=65000")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimizers.default.betas=[2, -1]", "optimizers: adam: Invalid beta"),
        ("optimizers.default.betas=[0.5]", "optimizers: adam: "),
        ("optimizers.default.amsgrad=much", "optimizers: adam: amsgrad is 'much'"),
        ("networks.decoder.width=-1", "networks.decoder: .*negative"),
        ("networks.discriminator.layers=-3", "networks.discriminator: "),
    ],
)
def test_103_numbers_that_torch_refuses_are_mistakes_in_the_recipe(catalog, change, words):
    with pytest.raises(RecipeError, match=words):
        build(catalog, change)


@pytest.mark.parametrize("changes", [(), ("run.micro_batch=1",)])
def test_103_a_batch_beyond_this_machines_memory_is_told_before_the_first_step(catalog, monkeypatch, changes):
    monkeypatch.setattr(cautions, "memory", lambda: 2**36)
    told = cautions.cautions(read_recipe("pix2pix_synthetic", set=["data.batch=65536", *changes]), catalog)
    assert [text.partition(", and this")[0] for text in told] == (
        [] if changes else ["data.batch: a step of 65,536 images keeps about 109 GiB of activations"]
    )


class TooLarge:
    """A source whose example does not fit into memory."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 3

    def name(self, index):
        return str(index)

    def example(self, index, random):
        raise self.error


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(CPU)], ids=["python", "torch"])
def test_103_images_that_do_not_fit_into_memory(error):
    stream = Stream([TooLarge(error)], batch=1, seed=0)
    with pytest.raises(ResourceError, match=r"out of memory while the images of step 1 were prepared"):
        list(batches({"main": stream}, 0, 1, workers=0, pin=False))


@pytest.mark.parametrize("size", [2**40, [64, 2**40]])
def test_103_images_of_absurd_sides(size):
    with pytest.raises(DataError, match=f"size: {2**40} is not a number of pixels"):
        Transform(size)


@pytest.mark.parametrize(
    ("recipe", "change", "words"),
    [
        ("munit_synthetic", "data.size=66", ["66x66", "multiples of 4", "data.size=68"]),
        ("munit_synthetic", "data.size=0", ["0x0", "data.size=64"]),
        ("munit_synthetic", "data.size=-5", ["-5x-5", "data.size=64"]),
        ("pix2pix_synthetic", "data.size=100", ["networks.encoder", "100x100", "multiples of 64", "data.size=128"]),
        ("augmented_cyclegan_synthetic", "data.size=20", ["networks.discriminator", "at least 49", "data.size=50"]),
        ("munit_synthetic", "networks.style_encoder.downsamples=7",
         ["networks.style_encoder", "64x64", "data.size=128"]),
    ],
)  # fmt: skip
def test_104_a_size_that_networks_cannot_take_names_the_next_that_they_take(catalog, recipe, change, words):
    with pytest.raises(RecipeError, match=r"^data.size: ") as caught:
        trace_recipe(read_recipe(recipe, set=[change]), catalog)
    assert all(word in str(caught.value) for word in words)
    side = str(caught.value).rpartition("data.size=")[2]
    trace_recipe(read_recipe(recipe, set=[change, f"data.size={side}"]), catalog)  # raises nothing


def test_104_networks_that_take_no_size_at_all_are_named(catalog):
    with pytest.raises(RecipeError, match=r"^networks.encoder: 40 levels"):
        trace_recipe(read_recipe("pix2pix_synthetic", set=["networks.encoder.levels=40"]), catalog)


def test_104_a_run_says_so_as_well(forge_watch, tmp_path):
    changes = ("networks.style_encoder.downsamples=7",)
    forge_watch.train(tmp_path / "run", changes=changes).refused(3, "data.size", "networks.style_encoder", "128")


def test_104_images_smaller_than_a_metrics_network():
    network = random_lpips()
    with pytest.raises(DataError, match=r"images of 30x40 are too small for lpips-alex") as caught:
        network.embed(torch.zeros(1, 3, 30, 40))
    assert "31x31" in caught.value.fix
    assert network.embed(torch.zeros(1, 3, 31, 40)).isfinite().all()


@pytest.mark.parametrize("name", ["meta", "cuda:99", "mps:7", "cpu:9999999999999", "nonsense", ""])
def test_104_a_device_that_cannot_compute_is_refused_in_one_message(name):
    with pytest.raises(UsageError, match=f"--device {name}: ") as caught:
        chosen_device(name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("option", ["--styles", "--interpolate"])
def test_101_more_styles_than_anybody_looks_at_are_refused(forge, option):
    code, _, err = forge("translate", "run", "image.png", "--out", "out", option, 2 * 10**9)
    assert code == 2 and option in err
    with pytest.raises(UsageError, match="1,000,000,000 styles"):
        Translator.codes(None, "ab", styles=10**9)


def test_101_tiles_smaller_than_their_halos_are_refused(catalog):
    with pytest.raises(UsageError, match="tiles of 1 pixels are too small"):
        Tiling(build(catalog), "ab", 4).translate(torch.zeros(1, 3, 64, 64), 1, random_style=torch.zeros(1, 8))


def test_104_what_needs_values_is_not_blamed_on_sizes():
    error = RuntimeError("Tensor.item() cannot be called on meta tensors")
    assert size_problem(error, {"decoder": torch.nn.Conv2d(3, 3, 3)}, 64, lambda side: None) is None
