"""Labelled images from folders, lists and data sets."""

import csv

import numpy as np
import pytest
import torch
from loaded import CATALOG
from PIL import Image

from i2i_forge.catalog.registry import Registry
from i2i_forge.data.images import to_uint8
from i2i_forge.errors import DataError, RecipeError, UsageError
from i2i_forge.measure.mode_classifier import Labelled, read_labelled

NONE = Registry("datasets")


def write(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((10, 12, 3), value, np.uint8)).save(file)


def folders(root, modes=("cat", "dog"), count=4):
    for place, mode in enumerate(modes):
        for i in range(count):
            write(root / mode / f"{i}.png", 40 * place + i)


@pytest.mark.parametrize("test", ["test", "val", ""])
def test_a_folder_for_each_mode(tmp_path, test):
    folders(tmp_path / "train" if test else tmp_path)
    if test:
        folders(tmp_path / test, count=1)
    data = read_labelled(str(tmp_path), {}, NONE)
    assert data.modes == ("cat", "dog") and data.train.modes == [0] * 4 + [1] * 4
    assert data.train.load(5).shape == (3, 10, 12) and data.train.load(5).unique().tolist() == [41]
    assert (data.test.modes == [0, 1]) if test else data.test is None


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_list_of_modes(tmp_path, test):
    lines = []
    for split, count in (("train", 3), (test, 1)):
        for mode in ("dots", "checks"):
            for i in range(count):
                lines.append({"file": f"{split}B/{mode}{i}.png", "family": "boot", "mode": 7, "mode_name": mode})
                write(tmp_path / lines[-1]["file"], i)
    with (tmp_path / "modes.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, lines[0])
        table.writeheader()
        table.writerows(lines)
    data = read_labelled(str(tmp_path), {}, NONE)
    assert data.modes == ("checks", "dots")
    assert data.train.modes == [1, 1, 1, 0, 0, 0] and data.test.modes == [1, 0]
    (tmp_path / "modes.csv").write_text("file,mode\na.png,3\n")
    with pytest.raises(DataError, match="no column 'mode_name'"):
        read_labelled(str(tmp_path), {}, NONE)


@pytest.mark.parametrize("paired", [False, True])
def test_a_data_set_that_knows_its_modes(paired):
    datasets = CATALOG.datasets
    options = {"count": 40, "test_count": 5, "paired": paired, "seed": 3}
    data = read_labelled("procedural_shoes", options, datasets)
    shoes = datasets.get("procedural_shoes")(**options)
    source = shoes.sources("train")[-1]
    assert data.modes == shoes.MODES and len(data.test) == 5
    assert [shoes.MODES[mode] for mode in data.train.modes] == [
        source.name(i).rsplit("-", 1)[1].removesuffix(".png") for i in range(40)
    ]
    assert torch.equal(data.train.load(7), to_uint8(source.example(7, None)["b"]))
    photo = shoes.photo("train", source.shoe(7))
    assert torch.equal(data.train.load(7), torch.from_numpy(photo.transpose(2, 0, 1).copy()))


def test_every_mode_gives_its_share():
    images = Labelled(lambda index: torch.tensor(index), [0] * 40 + [1] * 3)
    most, aside = images.split(0, "val")
    assert aside.modes == [0] * 6 + [1] and most.modes == [0] * 34 + [1] * 2
    numbers = [int(part.load(i)) for part in (most, aside) for i in range(len(part))]
    assert sorted(numbers) == list(range(43))
    assert [int(aside.load(i)) for i in range(7)] != [int(images.split(1, "val")[1].load(i)) for i in range(7)]


@pytest.mark.parametrize(
    ("modes", "count", "words"),
    [((), 0, "has no sub-folders"), (("cat",), 3, "there is one mode"), (("cat", "dog"), 2, "at least 3")],
)
def test_too_little(tmp_path, modes, count, words):
    folders(tmp_path, modes, count)
    with pytest.raises(DataError) as error:
        read_labelled(str(tmp_path), {}, NONE)
    assert words in str(error.value)


def test_mistakes(tmp_path):
    folders(tmp_path)
    with pytest.raises(UsageError, match="is a folder"):
        read_labelled(str(tmp_path), {"size": 64}, NONE)
    datasets = CATALOG.datasets
    with pytest.raises(DataError, match="neither a folder nor a data set"):
        read_labelled("shoes", {}, datasets)
    with pytest.raises(DataError, match="does not know the modes"):
        read_labelled("edges_of_photos", {"root": str(tmp_path)}, datasets)
    with pytest.raises(RecipeError, match="cuont"):
        read_labelled("procedural_shoes", {"cuont": 4}, datasets)
