"""forge init: from a folder of images to a recipe that trains."""

import json
import random
import shlex
from pathlib import Path

import pytest
from loaded import CATALOG, VOCABULARY
from PIL import Image

from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import forecast
from i2i_forge.run.streams import build_streams

NOISE = random.Random(0)


def images(folder, names, *sizes):
    """Images of these names, of the sizes in turn; no two are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture = Image.effect_noise(sizes[number % len(sizes)], NOISE.uniform(20, 90)).convert("RGB")
        picture.save(folder / f"{name}.png")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, where steps take half a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "seconds_per_step", lambda *_: 0.5)
    return tmp_path


def made(forge, *arguments):
    """The recipe that `forge init` wrote, whose data can be read; and the file and what was said."""
    code, out, err = forge("init", *arguments)
    assert code == 0, err
    file = Path(out.partition(": ")[0])
    recipe = read_recipe(file, vocabulary=VOCABULARY)
    streams, tests = build_streams(recipe, CATALOG)
    assert {tuple(image.shape) for image in streams["main"].batch(0).values()} == {
        (recipe.data.batch, 3, recipe.data.options["size"], recipe.data.options["size"])
    }
    assert all(len(source) for source in tests)
    return recipe, file, out + err


ODD = ((61, 97), (130, 77), (65, 65))


@pytest.mark.parametrize(
    ("folders", "method", "data"),
    [
        ({"trainA": "abcd", "trainB": "abcd"}, "pix2pix", {"use": "paired_folders", "layout": "two_folders"}),
        ({"trainA": "abcd", "trainB": "wxyz", "testA": "e", "testB": "v"}, "munit",
         {"use": "unpaired_folders", "size": 60}),
        ({"cats": "abc", "dogs": "xyz"}, "munit", {"use": "unpaired_folders", "a": "cats", "b": "dogs"}),
        ({".": "abcdefghijkl"}, "pix2pix", {"use": "edges_of_photos", "paired": True}),
        ({"trainA": "abc", "testA": "d"}, "pix2pix",
         {"use": "edges_of_photos", "photos": "trainA", "test_photos": "testA", "paired": True}),
        ({"train": "abc", "val": "d"}, "pix2pix",
         {"use": "edges_of_photos", "photos": "train", "test_photos": "val", "paired": True}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) and "use" not in value else "",
)  # fmt: skip
def test_the_recipe_fits_the_folder(forge, here, folders, method, data):
    for name, names in folders.items():
        images(here / "my data" / name, names, *ODD)
    recipe, file, said = made(forge, "my data")
    assert (recipe.trainer, file.name) == (method, f"my_data_{method}.yaml")
    assert (recipe.data.use, recipe.data.options) == (
        data["use"], {"size": 64, **{key: value for key, value in data.items() if key != "use"}, "root": "my data"},
    )  # fmt: skip
    assert recipe.steps == read_recipe({"munit": "munit_small", "pix2pix": "pix2pix_synthetic"}[method]).steps
    minutes = round(recipe.steps / 120)
    assert f"{recipe.steps:,} steps of {method} with " in said and f"about {minutes} minutes on " in said
    head = file.read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head) and f"about {minutes} minutes on " in head[0]
    assert all(f"{name} {len(names)}" in head[1] for name, names in folders.items() if name != ".")
    commands = [line.partition("#")[0].split() for line in said.splitlines() if line.startswith("  forge ")]
    assert [line[1] for line in commands] == ["data", "train", "translate"]
    assert commands[1] == ["forge", "train", file.name] and commands[2][2] == f"runs/my_data_{method}"
    assert commands[2][-4:] == ["--resize", str(recipe.data.options["size"]), "--out", "translated"]
    assert f"runs/my_data_{method}/samples" in said and "sheet.png" in said


def test_side_by_side_pairs_with_a_val_split(forge, here):
    images(here / "pairs/train", "abcd", (128, 64))
    images(here / "pairs/val", "ef", (128, 64))
    recipe, _, said = made(forge, "pairs")
    assert "its left half a, its right half b" in said
    assert (recipe.trainer, recipe.data.options) == ("pix2pix", {"root": "pairs", "size": 64})
    assert [len(source) for source in build_streams(recipe, CATALOG)[1]] == [2]
    recipe, file, _ = made(forge, "pairs", "--method", "munit")  # pairs may be taken for unpaired
    assert recipe.data.options == {"root": "pairs", "size": 64, "layout": "side_by_side"}
    assert file.name == "pairs_munit.yaml"


@pytest.mark.parametrize(
    ("side", "options", "size"),
    [
        (300, (), 64),
        (41, ("--method", "cyclegan"), 40),
        (28, (), 28),
        (28, ("--method", "munit"), 64),
        (300, ("--size", "128"), 128),
    ],
)
def test_the_size_fits_the_images_and_the_networks(forge, here, side, options, size):
    """28x28: the networks of `munit_synthetic` need 64, so the images are enlarged."""
    images(here / "x/trainA", "abc", (side, side + 9))
    images(here / "x/trainB", "def", (side + 5, side))
    assert made(forge, "x", *options)[0].data.options["size"] == size


def test_damaged_images_are_skipped_and_do_not_hide_that_there_are_pairs(forge, here):
    for name in ("trainA", "trainB"):
        images(here / "x" / name, "abcdef", (64, 64))
    whole = (here / "x/trainA/a.png").read_bytes()
    (here / "x/trainA/a.png").write_bytes(whole[: len(whole) // 2])
    (here / "x/trainB/b.png").write_bytes(b"no image")
    recipe, _, said = made(forge, "x")
    assert recipe.data.options["layout"] == "two_folders" and recipe.data.options["on_bad"] == "skip"
    assert "warning: 2 images cannot be used" in said and "forge data check" in said


def test_images_in_training_and_test_are_told(forge, here):
    for name in ("trainA", "trainB", "testA"):
        images(here / "x" / name, "abc", (64, 64))
    (here / "x/testA/a.png").write_bytes((here / "x/trainA/a.png").read_bytes())
    assert "warning: 1 images are both in training and in test" in made(forge, "x")[2]


@pytest.mark.parametrize(
    ("folder", "arguments", "code", "words"),
    [
        ("empty", (), 4, "no image in"),
        ("missing", (), 4, "does not exist"),
        ("damaged", (), 4, "no image of the folder can be used"),
        ("three", (), 4, "no layout that a recipe knows; it holds x, y, z"),
        ("two", ("--method", "pix2pix"), 2, "learns from pairs"),
        ("two", ("--method", "muint"), 2, "did you mean 'munit'?"),
        ("two", ("--size", "65"), 2, "give a multiple of 2: 64"),
        ("two", ("--method", "cyclegan_noise", "--size", "100"), 2, "give a multiple of 64: 128"),
        ("two", ("--out", "there.yaml"), 2, "there.yaml is there already"),
        ("two", ("--out", "nowhere/x.yaml"), 2, "nowhere/x.yaml cannot be written"),
        ("packed", (), 2, "is a pack"),
    ],
)
def test_what_has_no_recipe_is_told_and_nothing_is_written(forge, here, folder, arguments, code, words):
    (here / "empty").mkdir()
    (here / "damaged/train").mkdir(parents=True)
    (here / "damaged/train/a.png").write_bytes(b"no image")
    for name in ("two/x", "two/y", "three/x", "three/y", "three/z"):
        images(here / name, "ab", (64, 64))
    (here / "packed").mkdir()
    (here / "packed/pack.json").write_text("{}")
    (here / "there.yaml").write_text("mine")
    got, out, err = forge("init", folder, *arguments)
    assert (got, out) == (code, "") and words in err and "fix: " in err
    assert [file.name for file in here.glob("**/*.yaml")] == ["there.yaml"]
    assert (here / "there.yaml").read_text() == "mine"


def test_a_recipe_is_never_replaced(forge, here):
    for name in ("two/x", "two/y"):
        images(here / name, "ab", (64, 64))
    file = made(forge, "two")[1]
    before = file.read_bytes()
    code, _, err = forge("init", "two")
    assert code == 2 and "two_munit.yaml is there already" in err and "--out" in err
    assert file.read_bytes() == before
    (here / "link.yaml").symlink_to(here / "target.yaml")
    assert forge("init", "two", "--out", "link.yaml")[0] == 2 and not (here / "target.yaml").exists()


def test_names_of_folders_can_hold_anything(forge, here):
    root = here / "a: b\nsteps: 7 # 'x' ~é"
    for name in ("x\nseed: 3", "y # {"):
        images(root / name, "ab", (64, 64))
    recipe, file, _ = made(forge, root)
    assert (recipe.seed, recipe.steps) == (0, 2500) and recipe.data.options["root"] == str(root)
    assert len(file.read_text().splitlines()) == 5
    root.rename(here / "esc\x1b[31m")
    code, _, err = forge("init", "esc\x1b[31m")
    assert code == 4 and r"esc\x1b[31m: a recipe cannot hold this name" in err and "\x1b" not in err


def test_from_a_folder_to_a_trained_run(forge, tmp_path, monkeypatch):
    """The whole way: the seconds of a step are measured, and what init says next works."""
    monkeypatch.chdir(tmp_path)
    for name in ("trainA", "trainB"):
        images(tmp_path / "mine" / name, "abcdef", (50, 61))
    images(tmp_path / "mine/testA", "ghi", (50, 61))
    images(tmp_path / "mine/testB", "ghi", (50, 61))
    code, out, err = forge("init", "mine")
    assert code == 0, err
    small = ["--set", "networks.encoder.width=4", "--set", "networks.decoder.width=4", "--set", "data.workers=0"]
    lines = [shlex.split(line, comments=True)[1:] for line in out.splitlines()[1:]]
    code, _, err = forge(*lines[0])
    assert code == 0, err
    code, out, err = forge(*lines[1], "--steps", 4, *small)
    assert code == 0, err
    assert "step 1/4  " in err and "\n2 steps of " in err
    records = [json.loads(line)["step"] for line in Path("runs/mine_pix2pix/metrics.jsonl").read_text().splitlines()]
    assert records == [4]  # what is shown early is not recorded
    code, _, err = forge(*lines[2])
    assert code == 0, err
    assert len(list(Path("translated").glob("*.png"))) == 4
