"""procedural_shoes: the same numbers give the same shoes, drawings hide the mode, modes can be told apart."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_forge.errors import DataError
from i2i_forge_plugins.procedural_shoes import ProceduralShoes, drawing, materials
from i2i_forge_plugins.procedural_shoes.silhouettes import FAMILIES, draw_shape


def test_the_same_seed_split_and_index_give_the_same_shoe_and_others_do_not():
    shoes = ProceduralShoes(seed=3)
    first, again = shoes.render("train", 7), ProceduralShoes(seed=3).render("train", 7)
    assert np.array_equal(first.drawing, again.drawing)
    assert np.array_equal(first.photo, again.photo)
    assert (
        (first.family, first.mode) == (again.family, again.mode) == (shoes.family("train", 7), shoes.mode("train", 7))
    )
    others = [shoes.render("train", 8), shoes.render("test", 7), ProceduralShoes(seed=4).render("train", 7)]
    assert not any(np.array_equal(first.drawing, other.drawing) for other in others)


@pytest.mark.parametrize("index", range(6))
def test_a_shoe_is_the_same_at_every_size(index):
    small = ProceduralShoes(size=64).render("train", index)
    large = ProceduralShoes(size=256).render("train", index)
    other = ProceduralShoes(size=256).render("train", index + 1)
    for name in ("drawing", "photo"):
        near, far = (_distance(getattr(small, name), _reduced(getattr(shoe, name))) for shoe in (large, other))
        assert near < 6.0
        assert far > 2.0 * near


@pytest.mark.parametrize("size", [64, 100, 256])
def test_pictures_are_anti_aliased_on_white_with_a_margin(size):
    shoes = ProceduralShoes(size=size)
    for index in range(8):
        shoe = shoes.render("train", index)
        for picture in (shoe.drawing, shoe.photo):
            assert picture.dtype == np.uint8
            assert picture.shape == (size, size, 3)
            border = np.concatenate([picture[:2].ravel(), picture[:, :2].ravel(), picture[:, -2:].ravel()])
            assert border.min() == 255
            assert len(np.unique(picture)) > 10
        assert np.ptp(shoe.drawing.astype(int), axis=2).max() == 0  # a drawing has no colour
        assert shoe.drawing.min() < 64


def test_without_patterns_a_mode_is_a_colour_of_the_same_drawings(tmp_path):
    patterned, plain = ProceduralShoes(size=128), ProceduralShoes(size=128, patterns=False, count=1, test_count=1)
    assert plain.MODES == ("red", "blue", "green", "brown", "black", "yellow", "pink", "violet")
    assert ProceduralShoes.MODES == patterned.MODES == materials.MODES
    for index in range(12):
        shoe, same = plain.render("train", index), patterned.render("train", index)
        assert (shoe.mode, shoe.family) == (same.mode, same.family)
        assert np.array_equal(shoe.drawing, same.drawing)
        assert np.array_equal(shoe.photo, same.photo) == (same.mode == 0)  # which has no pattern anyway
    plain.write(tmp_path)
    modes = [line["mode_name"] for line in csv.DictReader((tmp_path / "modes.csv").read_text().splitlines())]
    assert modes and set(modes) <= set(plain.MODES)


def test_a_drawing_does_not_depend_on_the_mode_or_the_material(monkeypatch):
    shoes = ProceduralShoes()
    before = [shoes.drawing("train", index) for index in range(8)]
    photos = [shoes.photo("train", index) for index in range(8)]
    monkeypatch.setattr(ProceduralShoes, "mode", lambda self, split, index: 0)
    assert all(np.array_equal(shoes.drawing("train", index), each) for index, each in enumerate(before))
    assert not all(np.array_equal(shoes.photo("train", index), each) for index, each in enumerate(photos))


def test_a_drawing_never_asks_for_the_mode(monkeypatch):
    def asked(*_):
        raise AssertionError("the mode was asked for")

    monkeypatch.setattr(ProceduralShoes, "mode", asked)
    monkeypatch.setattr(materials, "draw_material", asked)
    source = ProceduralShoes().sources("train")[0]
    assert set(source.example(0, None)) == {"a"}
    assert source.name(0).startswith("train-00000-")


def test_every_family_and_every_mode_occurs_about_equally_often():
    shoes = ProceduralShoes()
    modes = np.bincount([shoes.mode("train", index) for index in range(800)], minlength=len(shoes.MODES))
    assert len(modes) == len(set(shoes.MODES)) >= 6
    assert modes.min() > 60
    families = [shoes.family("train", index) for index in range(300)]
    assert set(families) == set(FAMILIES)
    assert min(families.count(family) for family in FAMILIES) > 25


def test_shapes_vary_inside_a_family():
    drawings = {family: [] for family in FAMILIES}
    for index in range(60):
        shape = draw_shape(np.random.default_rng(index))
        drawings[shape.family].append(drawing.line_drawing(shape, 64))
    assert all(_distance(first, second) > 3.0 for first, second, *_ in drawings.values())


def test_materials_vary_inside_a_mode():
    shape = draw_shape(np.random.default_rng(0))
    for mode in range(len(materials.MODES)):
        first, second = (
            drawing.rendering(shape, materials.draw_material(mode, np.random.default_rng(seed)), 64) for seed in (0, 1)
        )
        assert _distance(first, second) > 0.5


@pytest.mark.parametrize("mode", [mode for mode in range(len(materials.MODES)) if mode != 0])
@pytest.mark.parametrize("seed", range(2))
def test_a_pattern_is_seen_on_the_upper_and_nowhere_else(mode, seed):
    shape = draw_shape(np.random.default_rng(seed))
    material = materials.draw_material(mode, np.random.default_rng(seed))
    plain = drawing.rendering(shape, replace(material, pattern="solid"), 64).astype(float)
    change = np.abs(drawing.rendering(shape, material, 64) - plain).max(axis=2)
    upper = np.asarray(drawing._roles(shape, 64 * 4).reduce(4))[:, :, 0]
    assert change[upper == 0].max() == 0.0
    assert (change[upper > 128] > 25).mean() > 0.1


def test_a_nearest_centroid_tells_the_modes_apart_and_not_from_the_drawings():
    shoes = ProceduralShoes(seed=1)
    known, unseen = range(128), range(128, 192)
    modes = np.array([shoes.mode("train", index) for index in range(192)])
    for draw, is_good in ((shoes.photo, lambda rate: rate > 0.9), (shoes.drawing, lambda rate: rate < 0.35)):
        features = np.stack([_colours(draw("train", index)) for index in range(192)])
        centroids = np.stack([features[known][modes[known] == mode].mean(axis=0) for mode in range(len(shoes.MODES))])
        distances = ((features[unseen][:, None] - centroids) ** 2).sum(axis=2)
        assert is_good((distances.argmin(axis=1) == modes[unseen]).mean())


def test_examples_are_tensors_between_minus_one_and_one():
    example = ProceduralShoes(paired=True).sources("train")[0].example(2, None)
    assert list(example) == ["a", "b"]
    for image in example.values():
        assert image.dtype == torch.float32
        assert image.shape == (3, 64, 64)
        assert image.max() == 1.0
        assert -1.0 <= image.min() < 0.0


def test_unpaired_sources_share_no_shoe():
    shoes = ProceduralShoes(count=20)
    drawings, photos = shoes.sources("train")
    assert len(drawings) == len(photos) == 20
    assert not {drawings.shoe(index) for index in range(20)} & {photos.shoe(index) for index in range(20)}
    assert torch.equal(drawings.example(4, None)["a"], _tensor(shoes.drawing("train", 8)))
    assert torch.equal(photos.example(4, None)["b"], _tensor(shoes.photo("train", 9)))


def test_paired_images_share_the_silhouette():
    (source,) = ProceduralShoes(paired=True, test_count=12).sources("test")
    assert len(source) == 12
    for index in range(12):
        pair = source.example(index, None)
        lines, painted = pair["a"].amin(dim=0) < 0.0, pair["b"].amin(dim=0) < 0.7
        assert (lines & ~painted).sum() == 0
        (top, left), (bottom, right) = lines.nonzero().amin(dim=0), lines.nonzero().amax(dim=0)
        dark = (pair["b"].amin(dim=0) < 0.1).nonzero()  # darker than the shadow on the ground
        assert (dark.amin(dim=0) - torch.stack([top, left])).abs().max() <= 2
        assert (dark.amax(dim=0) - torch.stack([bottom, right])).abs().max() <= 2


def test_a_pair_is_mirrored_together():
    (source,) = ProceduralShoes(paired=True).sources("train")
    straight, seen = source.example(1, None), set()
    for seed in range(12):
        pair = source.example(1, torch.Generator().manual_seed(seed))
        mirrored = [torch.equal(pair[domain], straight[domain].flip(2)) for domain in "ab"]
        assert mirrored in ([True, True], [False, False])
        assert mirrored[0] or torch.equal(pair["a"], straight["a"])
        seen.add(mirrored[0])
    assert seen == {True, False}


@pytest.mark.parametrize("options", [{"size": 63}, {"count": 0}, {"test_count": 0}])
def test_options_that_make_no_sense_are_explained(options):
    with pytest.raises(DataError, match=next(iter(options))) as caught:
        ProceduralShoes(**options)
    assert caught.value.fix


def test_a_split_or_an_example_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match="validation"):
        ProceduralShoes().sources("validation")
    with pytest.raises(IndexError):
        ProceduralShoes(count=3).sources("train")[0].example(3, None)


@pytest.mark.parametrize("paired", [False, True])
def test_it_is_written_as_folders_with_a_list_of_modes(tmp_path, paired):
    shoes = ProceduralShoes(paired=paired, count=3, test_count=2)
    told = []
    shoes.write(tmp_path / "new" / "out", progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 10) for done in range(1, 11)]
    out = tmp_path / "new" / "out"
    files = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in out.iterdir() if folder.is_dir()}
    assert {folder: len(names) for folder, names in files.items()} == {
        "trainA": 3, "trainB": 3, "testA": 2, "testB": 2
    }  # fmt: skip
    assert (files["trainA"] == files["trainB"]) == paired
    assert b"\r" not in (out / "modes.csv").read_bytes()
    rows = list(csv.DictReader((out / "modes.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [
        f"{folder}/{name}" for folder in ("trainB", "testB") for name in files[folder]
    ]
    assert all(shoes.MODES[int(row["mode"])] == row["mode_name"] for row in rows)
    assert all(f"-{row['family']}-{row['mode_name']}.png" in row["file"] for row in rows)
    with Image.open(out / rows[1]["file"]) as image:
        written = np.asarray(image)
    assert np.array_equal(written, shoes.photo("train", 1 if paired else 3))


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot write"):
        ProceduralShoes(count=1, test_count=1).write(tmp_path / "file")


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def _reduced(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).reduce(4))


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32)) / 127.5 - 1.0


def _colours(picture: np.ndarray) -> np.ndarray:
    """Which share of the painted pixels has each of 4 x 4 x 4 colours."""
    painted = picture[picture.min(axis=2) < 225].astype(int) // 64
    counts = np.bincount(painted @ np.array([16, 4, 1]), minlength=64)
    return np.sqrt(counts / counts.sum())
