import inspect
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import DataError
from i2i_forge.system.seeding import generator
from i2i_forge_plugins import image_folders
from i2i_forge_plugins.image_folders import ImageLists, PairedFolders, UnpairedFolders


def paint(path, value, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def values(source, key):
    """The grey value of each image, which the tests paint to tell images apart."""
    return [round((source.example(i, None)[key].mean().item() + 1) * 127.5) for i in range(len(source))]


@pytest.fixture
def root(tmp_path):
    for name, base, count in (("trainA", 10, 3), ("trainB", 50, 2), ("testA", 100, 1)):
        for i in range(count):
            paint(tmp_path / name / f"{i}.png", base + i)
    return tmp_path


def test_unpaired_folders(root):
    a, b = UnpairedFolders(root=str(root), size=8).sources("train")
    assert (len(a), len(b)) == (3, 2)
    assert values(a, "a") == [10, 11, 12] and values(b, "b") == [50, 51]
    example = a.example(0, generator(0))
    assert list(example) == ["a"] and example["a"].shape == (3, 8, 8) and example["a"].dtype == torch.float32
    assert a.name(2) == str(root / "trainA" / "2.png")
    test_a, test_b = UnpairedFolders(root=str(root), size=8).sources("test")
    assert values(test_a, "a") == [100] and values(test_b, "b") == [50, 51]  # no testB: the training folder


def test_any_two_folders(root):
    a, b = UnpairedFolders(a=str(root / "trainB"), b=str(root / "testA"), size=8).sources("train")
    assert values(a, "a") == [50, 51] and values(b, "b") == [100]
    a, _ = UnpairedFolders(root=str(root), a="trainB", test_a="trainA", size=8).sources("test")
    assert values(a, "a") == [10, 11, 12]
    with pytest.raises(DataError, match="no folder"):
        UnpairedFolders(a=str(root / "trainB"))


def test_examples_repeat_with_the_generator_and_travel_to_workers(root):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(root / "trainA/0.png")
    a, _ = UnpairedFolders(root=str(root), size=8, resize=16).sources("train")
    first = a.example(0, generator(5))["a"]
    assert torch.equal(first, pickle.loads(pickle.dumps(a)).example(0, generator(5))["a"])
    assert any(not torch.equal(first, a.example(0, generator(seed))["a"]) for seed in range(5))


def test_bad_files_of_both_domains_are_named_before_training(root):
    (root / "trainA/bad.png").touch()
    (root / "trainB/worse.png").write_text("<html>")
    with pytest.raises(DataError, match="2 of 7 images cannot be used") as caught:
        UnpairedFolders(root=str(root)).sources("train")
    assert "bad.png: is empty" in caught.value.message and "worse.png: is not a readable" in caught.value.message


def test_image_lists(root):
    (root / "a.txt").write_text("./2.png\n\n./0.png\n")
    (root / "b.txt").write_text("trainB/1.png\n")
    (root / "test_a.txt").write_text("testA/0.png\n")
    data = ImageLists(
        root=str(root), train_a="a.txt", train_b="b.txt", test_a="test_a.txt", folder_train_a="trainA", size=8
    )
    a, b = data.sources("train")
    assert values(a, "a") == [12, 10] and values(b, "b") == [51]
    a, b = data.sources("test")
    assert values(a, "a") == [100] and values(b, "b") == [51]
    (root / "a.txt").write_text("0.png\ngone.png\n")
    with pytest.raises(DataError, match=r"trainA/gone.png: does not exist"):
        data.sources("train")


def ramp(height, width):
    """Red grows to the right: it shows flips and crops."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3))


def test_side_by_side_halves_share_their_draws(tmp_path):
    (tmp_path / "train").mkdir()
    both = np.concatenate([ramp(20, 30), ramp(20, 30)], 1)
    Image.fromarray(both).save(tmp_path / "train/1.png")
    (source,) = PairedFolders(root=str(tmp_path), size=8, resize=10).sources("train")
    seen = set()
    for seed in range(12):
        example = source.example(0, generator(seed))
        assert torch.equal(example["a"], example["b"])
        seen.add(example["a"].sum().item())
    assert len(seen) > 3


def test_side_by_side_sides_and_splits(tmp_path):
    for folder, left in (("train", 0), ("val", 100)):
        pair = Image.new("RGB", (32, 16), (left,) * 3)
        pair.paste((200,) * 3, (16, 0, 32, 16))
        (tmp_path / folder).mkdir()
        pair.save(tmp_path / folder / "1.png")
    for split, left in (("train", 0), ("test", 100)):
        (source,) = PairedFolders(root=str(tmp_path), size=16).sources(split)
        assert (values(source, "a"), values(source, "b")) == ([left], [200])
        (source,) = PairedFolders(root=str(tmp_path), size=16, direction="BtoA").sources(split)
        assert (values(source, "a"), values(source, "b")) == ([200], [left])
    paint(tmp_path / "train" / "odd.png", 0, size=(15, 8))
    with pytest.raises(DataError, match=r"odd width: .*odd.png is 15x8"):
        PairedFolders(root=str(tmp_path)).sources("train")


def test_two_folders_pair_by_stem_and_share_their_draws(tmp_path):
    for folder, shift in (("trainA", 0), ("trainB", 100)):
        (tmp_path / folder).mkdir()
        for i in (2, 10):
            Image.fromarray(ramp(20, 30) // 4 + shift + i).save(tmp_path / folder / f"{i}.{'png' if shift else 'bmp'}")
    (source,) = PairedFolders(root=str(tmp_path), layout="two_folders", size=8, resize=20).sources("train")
    assert len(source) == 2 and "2.bmp and" in source.name(0)
    for seed in range(6):
        example = source.example(seed % 2, generator(seed))
        torch.testing.assert_close(example["b"] - example["a"], torch.full((3, 8, 8), 100 / 127.5))
    paint(tmp_path / "trainA" / "alone.png", 0)
    with pytest.raises(DataError, match=r"1 without a partner: .*trainA/alone.png"):
        PairedFolders(root=str(tmp_path), layout="two_folders").sources("train")


def test_unknown_layout():
    with pytest.raises(DataError, match="layout: there is no 'side'"):
        PairedFolders(root="x", layout="side")


def test_registered_with_the_same_augmentation_options():
    catalog = Catalog()
    image_folders.register_components(catalog)
    assert list(catalog.datasets) == ["image_lists", "paired_folders", "unpaired_folders"]
    defaults = {"size": 256, "resize": None, "test_crop": True}
    for name in catalog.datasets:
        parameters = inspect.signature(catalog.datasets.get(name)).parameters
        assert {key: parameters[key].default for key in defaults} == defaults
        assert parameters["flip"].default is (True if name == "image_lists" else None)  # of pictures alone


def test_pairs_are_read_as_two_domains(tmp_path):
    for folder, count in (("train", 3), ("val", 1)):
        for i in range(count):
            paint(tmp_path / folder / f"{i}.png", 10 + i, (32, 16))
            with Image.open(tmp_path / folder / f"{i}.png") as image:
                pair = image.copy()
            pair.paste((100 + i,) * 3, (16, 0, 32, 16))
            pair.save(tmp_path / folder / f"{i}.png")
    for options in ({}, {"layout": "side_by_side"}):
        a, b = UnpairedFolders(root=str(tmp_path), size=8, **options).sources("train")
        assert (values(a, "a"), values(b, "b")) == ([10, 11, 12], [100, 101, 102])
        assert list(a.example(0, generator(0))) == ["a"] and "1.png (right half)" in b.name(1)
    test_a, test_b = UnpairedFolders(root=str(tmp_path), size=8).sources("test")
    assert (values(test_a, "a"), values(test_b, "b")) == ([10], [100])
    a, _ = UnpairedFolders(a=str(tmp_path / "val"), layout="side_by_side", size=8).sources("train")
    assert len(a) == 1
    paint(tmp_path / "train/odd.png", 0, (15, 8))
    with pytest.raises(DataError, match="odd width"):
        UnpairedFolders(root=str(tmp_path)).sources("train")


def test_two_folders_come_before_pairs_unless_the_layout_says_otherwise(root):
    paint(root / "train/0.png", 7, (32, 16))
    assert values(UnpairedFolders(root=str(root), size=8).sources("train")[0], "a") == [10, 11, 12]
    assert values(UnpairedFolders(root=str(root), size=8, layout="side_by_side").sources("train")[0], "a") == [7]
    (root / "trainA").rename(root / "elsewhere")
    with pytest.raises(DataError, match="trainA does not exist"):
        UnpairedFolders(root=str(root), layout="two_folders").sources("train")
    with pytest.raises(DataError, match="layout: there is no 'pairs'"):
        UnpairedFolders(root=str(root), layout="pairs")
