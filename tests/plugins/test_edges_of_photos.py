import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from i2i_forge.errors import DataError
from i2i_forge.system.seeding import generator
from i2i_forge_plugins.edges_of_photos import EdgesOfPhotos, _follow, canny_lines


def square(path, corner=20):
    """A dark square on light grey, 40 pixels wide: edges all around it and nowhere else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (80, 64), (220, 220, 220))
    ImageDraw.Draw(image).rectangle((corner, 12, corner + 39, 51), fill=(20, 40, 60))
    image.save(path)


@pytest.fixture
def photos(tmp_path):
    for i in range(12):
        square(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("detector", ["canny", "sobel"])
def test_drawings_are_dark_lines_on_white(photos, detector):
    (source,) = EdgesOfPhotos(root=str(photos), detector=detector, paired=True, size=64).sources("train")
    example = source.example(0, None)
    a = example["a"]
    assert a.shape == example["b"].shape == (3, 64, 64) and a.dtype == torch.float32
    assert torch.equal(a[0], a[1]) and torch.equal(a[0], a[2])
    assert a.min() == -1 and a.max() == 1
    assert 0.02 < (a[0] < 0).float().mean() < 0.12  # 160 pixels of outline are 0.04
    column = 12  # the square's left side, at 20 of 80, after the centre crop of 64
    assert (a[0, 20:44, column - 2 : column + 2].amin(1) == -1).all()
    assert (a[0, 20:44, column + 5 : column + 30] == 1).all() and (a[0, :6] == 1).all()


def test_lines_are_found_after_the_augmentation(photos):
    (source,) = EdgesOfPhotos(root=str(photos), paired=True, size=32, resize=48).sources("train")
    for seed in range(8):
        example = source.example(0, generator(seed))
        expected = 1 - 2 * canny_lines(example["b"] / 2 + 0.5, 0.2, 0.5)
        assert torch.equal(example["a"], expected.expand(3, -1, -1))


def test_unpaired_by_default(photos):
    a, b = EdgesOfPhotos(root=str(photos), size=32).sources("train")
    assert list(a.example(0, generator(0))) == ["a"] and list(b.example(0, generator(0))) == ["b"]
    assert len(a) == len(b) == 11 and a.name(3) == b.name(3) == str(photos / "3.png")


def test_held_out_photographs(photos):
    (train,) = EdgesOfPhotos(root=str(photos), paired=True).sources("train")
    (test,) = EdgesOfPhotos(root=str(photos), paired=True).sources("test")
    assert [test.name(i) for i in range(len(test))] == [str(photos / "11.png")]
    assert str(photos / "11.png") not in [train.name(i) for i in range(len(train))]


def test_train_and_test_folders(tmp_path):
    for name in ("train/1.png", "train/2.png", "test/3.png"):
        square(tmp_path / name)
    data = EdgesOfPhotos(root=str(tmp_path), paired=True)
    assert [len(data.sources(split)[0]) for split in ("train", "test")] == [2, 1]
    flat = EdgesOfPhotos(root=str(tmp_path), photos="train", test_photos="test", paired=True)
    assert [len(flat.sources(split)[0]) for split in ("train", "test")] == [2, 1]


def test_test_photographs_are_never_trained_on(tmp_path):
    for name in ("1.png", "2.png", "test/3.png"):
        square(tmp_path / name)
    (train,) = EdgesOfPhotos(root=str(tmp_path), paired=True).sources("train")
    assert [train.name(i) for i in range(len(train))] == [str(tmp_path / "1.png"), str(tmp_path / "2.png")]


def test_one_photograph_is_too_few(tmp_path):
    square(tmp_path / "1.png")
    with pytest.raises(DataError, match="no photograph is left for training"):
        EdgesOfPhotos(root=str(tmp_path)).sources("train")


def test_following_weak_lines_equals_kornia():
    from kornia.filters import canny

    for seed in range(3):
        image = torch.rand(3, 24, 40, generator=generator(seed)) * 0.3
        image[:, 8:16, 10:30] += 0.2
        _, expected = canny(image[None], 0.1, 0.3)
        assert 0 < expected.sum() < expected.numel() / 2
        assert torch.equal(canny_lines(image, 0.1, 0.3), expected[0])


def test_following_stops_at_the_border():
    weak = np.zeros((3, 4), dtype=bool)
    weak[0, 3] = weak[1, 0] = True  # neighbours only if rows were joined end to end
    strong = np.zeros_like(weak)
    strong[0, 3] = True
    assert np.array_equal(_follow(strong, weak), strong)


@pytest.mark.parametrize(
    "options", [{"low": 0.6}, {"low": 0.0}, {"low": 1.0, "high": 2.0}, {"detector": "laplace"}, {"root": ""}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(DataError) as caught:
        EdgesOfPhotos(**({"root": "x"} | options))
    assert caught.value.fix
