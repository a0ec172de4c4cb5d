"""forge data."""

import csv
import json
import subprocess
import sys

import pytest
from loaded import CATALOG
from packed_folders import same
from PIL import Image
from shrink import TINY_MUNIT

from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.streams import build_streams
from i2i_forge_plugins.files.arrays import Npz


def make(forge, out, *changes, dataset="procedural_shoes"):
    sets = [part for change in changes for part in ("--set", change)]
    return forge("data", "make", dataset, "--out", out, *sets)


def test_folders_that_can_be_trained_from(forge, tmp_path):
    out = tmp_path / "shoes"
    code, stdout, err = make(forge, out, "count=4", "test_count=2", "size=64")
    assert (code, stdout) == (0, f"{out}\n")
    assert "12/12 images" in err
    assert {p.name: len(list(p.iterdir())) for p in out.iterdir() if p.is_dir()} == {
        "trainA": 4, "trainB": 4, "testA": 2, "testB": 2,
    }  # fmt: skip
    with (out / "modes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    with Image.open(next((out / "trainA").iterdir())) as image:
        assert (image.size, image.mode) == ((64, 64), "RGB")
    sets = (f"data.root={out}", "data.size=64", "data.workers=0", "run.sample_inputs=1", "run.sample_styles=1")
    arguments = [part for change in (*TINY_MUNIT, *sets) for part in ("--set", change)]
    code, stdout, err = forge("train", "munit_edge2shoes", "--run", tmp_path / "run", "--steps", 2, *arguments)
    assert code == 0, err
    assert "2 steps done" in stdout


def test_the_same_options_make_the_same_files(forge, tmp_path):
    def content(folder):
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    for name in ("one", "two"):
        make(forge, tmp_path / name, "count=2", "test_count=1")
    make(forge, tmp_path / "other", "count=2", "test_count=1", "seed=1")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert content(tmp_path / "one") != content(tmp_path / "other")


@pytest.mark.parametrize(
    ("dataset", "changes", "code", "words"),
    [
        ("procedural_shoe", (), 6, "did you mean 'procedural_shoes'?"),
        ("unpaired_folders", ("root=x",), 4, "'unpaired_folders' reads files"),
        ("procedural_shoes", ("count",), 2, "--set count: this is not KEY=VALUE"),
        ("procedural_shoes", ("cuont=4",), 3, "cuont"),
        ("procedural_shoes", ("count=0",), 4, "count is 0"),
        ("procedural_shoes", ("size=8",), 4, "use a size of at least 64"),
        ("procedural_shoes", ("count=many",), 3, "count"),
        ("phantom", (), 2, "data set 'phantom' needs --format"),
        ("phantom", ("seed=1",), 3, "seed"),
    ],
)
def test_mistakes(forge, tmp_path, dataset, changes, code, words):
    got, out, err = make(forge, tmp_path / "out", *changes, dataset=dataset)
    assert (got, out) == (code, ""), err
    assert words in err and "fix: " in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "code", "words"),
    [("npz", 2, "--format npz: files of npz are read and not written"), ("nii7", 4, "'.nii7'"), ("png", 4, "ct.png")],
)
def test_formats_that_are_not_for_volumes(forge, tmp_path, monkeypatch, form, code, words):
    monkeypatch.delattr(Npz, "write")
    got, out, err = forge("data", "make", "phantom", "--out", tmp_path / "out", "--format", form)
    assert (got, out) == (code, "") and words in err and "fix: " in err


def test_volumes_in_a_format(forge, tmp_path):
    for form, ending in {"meta": ".mha", "mhd": ".mhd", "npy": ".npy"}.items():
        code, out, err = forge("data", "make", "phantom", "--out", tmp_path / form, "--format", form)
        assert (code, out) == (0, f"{tmp_path / form}\n") and "40/40 images" in err
        assert {file.name for file in (tmp_path / form / "subject_7").iterdir()} == {
            name + ending for name in ("ct", "mr", "mr2", "mask", "label")
        }
    code, _, err = forge("data", "make", "procedural_shoes", "--out", tmp_path / "shoes", "--format", "mha")
    assert code == 2 and "written as PNG files" in err


def test_nothing_is_written_over(forge, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    (tmp_path / "file").touch()
    for name in ("full", "file"):
        code, _, err = make(forge, tmp_path / name, "count=1")
        assert code == 2 and f"--out {tmp_path / name}: there is something already" in err
    code, _, err = make(forge, tmp_path / "file/below", "count=1", "test_count=1")
    assert code in (2, 4) and "file" in err
    (tmp_path / "empty").mkdir()
    assert make(forge, tmp_path / "empty", "count=1", "test_count=1")[0] == 0


# ---- forge data get --------------------------------------------------------------------------------------------------


def test_the_list_of_public_data_needs_no_torch(forge):
    code, out, _ = forge("data", "get")
    assert code == 0 and "edges2shoes" in out and "datasets/maps_unpaired" in out
    rows = json.loads(forge("data", "get", "--json", "--out", "x")[1])
    assert {"name": "maps", "kind": "paired", "goes_to": "x/maps"}.items() <= next(
        row for row in rows if row["name"] == "maps"
    ).items()
    program = "import sys; from i2i_forge.cli import main\ntry: main(['data', 'get'])\n"
    program += "finally: assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_get_says_what_it_did_not_do(forge, tmp_path, monkeypatch):
    code, out, err = forge("data", "get", "edges2shoe", "--out", tmp_path)
    assert (code, out) == (2, "") and "did you mean 'edges2shoes'?" in err
    monkeypatch.setenv("FORGE_OFFLINE", "1")
    code, _, err = forge("data", "get", "facades", "--out", tmp_path)
    assert code == 2 and "FORGE_OFFLINE" in err and not list(tmp_path.iterdir())
    (tmp_path / "facades").mkdir()
    (tmp_path / "facades/.forge-download.json").write_text("{}")
    code, out, err = forge("data", "get", "facades", "--out", tmp_path)
    assert (code, out) == (0, f"{tmp_path}/facades\n") and "is there already" in err


# ---- forge data check, preview ---------------------------------------------------------------------------------------


def images(folder, count, size=(64, 64), first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")


def data_lines(out):
    return [line.strip() for line in out.splitlines() if line.startswith("  data: ")]


def test_check_of_a_folder_says_how_a_recipe_uses_it(forge, tmp_path):
    images(tmp_path / "trainA", 3)
    images(tmp_path / "trainB", 3, (80, 64), first=5)
    images(tmp_path / "testA", 1, first=9)
    code, out, err = forge("data", "check", tmp_path)
    assert (code, err) == (0, "")
    assert "64x64 (3)" in out and "80x64 (3)" in out
    assert data_lines(out) == [f"data: {{use: unpaired_folders, root: {tmp_path}}}    unpaired"]
    found = json.loads(forge("data", "check", tmp_path, "--json")[1])
    assert found["folders"]["trainB"] == {"images": 3, "sizes": {"80x64": 3}, "damaged": {}}
    assert found["data"] == [{"use": "unpaired_folders", "root": str(tmp_path)}]


@pytest.mark.parametrize(
    ("folders", "uses"),
    [
        ({"trainA": (64, 64), "trainB": (64, 64)}, ["paired_folders two_folders", "unpaired_folders "]),
        ({"train": (128, 64)}, ["paired_folders ", "unpaired_folders side_by_side"]),
        ({"train": (65, 64)}, []),
        ({"cats": (64, 64), "dogs": (64, 64)}, ["unpaired_folders "]),
        ({"x": (64, 64), "y": (64, 64), "z": (64, 64)}, []),
        ({"trainA": (64, 64), "testA": (64, 64)}, []),
        ({".": (64, 64)}, []),
    ],
)
def test_what_check_proposes_can_be_read(forge, tmp_path, folders, uses):
    for name, size in folders.items():
        images(tmp_path / name, 2, size)
    code, out, _ = forge("data", "check", tmp_path, "--json")
    found = json.loads(out)["data"]
    assert (code, [f"{use['use']} {use.get('layout', '')}" for use in found]) == (0, uses)
    for use in found:
        dataset = CATALOG.datasets.get(use.pop("use"))(size=64, **use)
        assert {d for source in dataset.sources("train") for d in source.example(0, None)} == {"a", "b"}
    assert len(data_lines(forge("data", "check", tmp_path)[1])) == len(uses)


def test_check_names_damage_and_what_training_and_test_share(forge, tmp_path):
    images(tmp_path / "train", 3)
    images(tmp_path / "test", 2, first=2)  # 2.png is in both
    whole = (tmp_path / "train/0.png").read_bytes()
    (tmp_path / "train/0.png").write_bytes(whole[:-30])  # its header is whole
    code, out, err = forge("data", "check", tmp_path)
    assert code == 4 and f"{tmp_path}/train/0.png: cannot be read" in out
    assert f"1 of 5 images in {tmp_path} cannot be used" in err and "fix: copy or download it again" in err
    assert f"both in training and in test: 1, for example {tmp_path}/train/2.png and {tmp_path}/test/2.png" in err
    code, out, _ = forge("data", "check", tmp_path, "--json")
    assert code == 4 and json.loads(out)["in_training_and_test"] == [
        [f"{tmp_path}/{x}/2.png" for x in ("train", "test")]
    ]


def test_a_damaged_image_does_not_hide_that_there_are_pairs(forge, tmp_path):
    images(tmp_path / "trainA", 3)
    images(tmp_path / "trainB", 3)
    (tmp_path / "trainA/1.png").write_bytes(b"")
    code, out, _ = forge("data", "check", tmp_path, "--json")
    assert code == 4 and [use["use"] for use in json.loads(out)["data"]] == ["paired_folders", "unpaired_folders"]


def test_check_notes_what_is_unusual(forge, tmp_path):
    images(tmp_path, 1)
    (tmp_path / "0.png").rename(tmp_path / "0.jpg")
    code, out, err = forge("data", "check", tmp_path)
    assert (code, err) == (0, "") and f"1 of the images: PNG although named .jpg; for example {tmp_path}/0.jpg" in out
    code, out, _ = forge("data", "check", tmp_path, "--json")
    assert json.loads(out)["noted"] == {"PNG although named .jpg": [f"{tmp_path}/0.jpg"]}


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_check_of_nothing(forge, tmp_path, name):
    (tmp_path / "empty").mkdir()
    code, out, err = forge("data", "check", tmp_path / name)
    assert (code, out) == (4, "") and str(tmp_path / name) in err and "fix: " in err


def test_preview_shows_what_training_sees(forge, tmp_path):
    file = tmp_path / "shown" / "p.png"
    code, out, err = forge("data", "preview", "pix2pix_synthetic", "--out", file, "--count", 5)
    assert (code, out) == (0, f"{file}\n"), err
    with Image.open(file) as picture:
        assert f"{picture.width}x{picture.height} pixels; 5 examples" in err and "64x64, 4 in a row: a beside b" in err
        across, down = picture.width // 132, picture.height // 128
        assert (across, down) == (8, 2)  # four pairs, then one
        box = (4, picture.height - 2 * 132, 132, picture.height - 132 - 4)
        assert len(picture.crop(box).getcolors(100_000)) > 2  # the first drawing is there
        empty = picture.crop((4 * 132, picture.height - 132, picture.width, picture.height))
        assert empty.getcolors() == [(empty.width * empty.height, (255, 255, 255))]


def test_preview_of_a_stream_that_is_not_there(forge, tmp_path):
    code, _, err = forge("data", "preview", "munit_synthetic", "--out", tmp_path / "p.png", "--stream", "pairs")
    assert code == 2 and "--stream pairs" in err and "there is: main" in err


# ---- forge data pack -------------------------------------------------------------------------------------------------


def test_a_pack_says_how_a_recipe_uses_it_and_check_verifies_it(forge, tmp_path):
    images(tmp_path / "in/trainA", 3)
    images(tmp_path / "in/trainB", 3, first=5)
    out = tmp_path / "out"
    code, _, err = forge("data", "pack", tmp_path / "in", "--out", out)
    assert (code, err) == (0, "")  # a and b have no names in common
    code, stdout, err = forge("data", "check", out)
    assert (code, err) == (0, "") and "6 images in 2 shards" in stdout
    assert data_lines(stdout) == [f"data: {{use: packed, root: {out}}}    unpaired"]
    found = json.loads(forge("data", "check", out, "--json")[1])
    assert found["parts"]["train_b"] == {"folder": "trainB", "images": 3} and found["images"] == 6
    made = [
        build_streams(read_recipe("munit_edge2shoes", set=[f"data={{use: {use}, root: {root}, size: 64}}"]), CATALOG)
        for use, root in (("packed", out), ("unpaired_folders", tmp_path / "in"))
    ]
    assert same(*(streams["main"].batch(0) for streams, _ in made))  # training is that from the folder
    shard = out / "train-a-000000.tar"
    shard.write_bytes(shard.read_bytes()[:600] + b"\0\1" + shard.read_bytes()[602:])
    code, stdout, err = forge("data", "check", out)
    assert (code, stdout) == (4, "") and f"{shard} is damaged" in err and "fix: copy it again" in err


def test_a_pack_of_pairs(forge, tmp_path):
    images(tmp_path / "train", 3, (128, 64))
    code, stdout, err = forge("data", "pack", tmp_path, "--out", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    root = str(tmp_path / "out")
    uses = [{"use": "packed", "root": root}, {"use": "packed", "root": root, "paired": False}]
    assert json.loads(stdout)["data"] == uses
    lines = data_lines(forge("data", "check", tmp_path / "out")[1])
    assert lines[1] == f"data: {{use: packed, root: {root}, paired: false}}    unpaired"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 4, "neither trainA and trainB nor train; it has cats, dogs"),
        (("--a", "cats", "--b", "mice"), 4, "mice does not exist"),
        (("--a", "cats", "--b", "dogs"), 4, "1 of 6 images cannot be used"),
        (("--a", "cats", "--b", "dogs", "--pairs", "--on-bad", "skip"), 4, "without a partner"),
        (("--layout", "three"), 2, "--layout"),
        (("--shard-size", "0"), 2, "--shard-size"),
    ],
)
def test_mistakes_of_packing(forge, tmp_path, arguments, code, words):
    images(tmp_path / "in/cats", 3)
    images(tmp_path / "in/dogs", 3, first=7)
    (tmp_path / "in/dogs/7.png").write_bytes(b"")
    got, stdout, err = forge("data", "pack", tmp_path / "in", "--out", tmp_path / "out", *arguments)
    assert (got, stdout) == (code, "") and words in err
    assert not (tmp_path / "out").exists()
    if "cannot be used" in words:
        assert "--on-bad skip" in err
        assert forge("data", "pack", tmp_path / "in", "--out", tmp_path / "out", *arguments, "--on-bad", "skip")[0] == 0
        got, _, err = forge("data", "pack", tmp_path / "in", "--out", tmp_path / "out", *arguments)
        assert got == 2 and "there is something already" in err


def test_preview_of_a_pack(forge, tmp_path):
    make(forge, tmp_path / "shoes", "count=4", "test_count=1", "size=64")
    forge("data", "pack", tmp_path / "shoes", "--out", tmp_path / "packed")
    options = f"data={{use: packed, root: {tmp_path / 'packed'}, size: 64, paired: false}}"
    code, _, err = forge("data", "preview", "munit_edge2shoes", "--out", tmp_path / "p.png", "--set", options)
    assert code == 0, err
