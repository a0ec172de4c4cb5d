import numpy as np
import pytest
import torch
from PIL import Image

from i2i_forge.data.transforms import Draw, Transform, to_tensor
from i2i_forge.errors import DataError
from i2i_forge.system.seeding import generator


def image(height, width):
    """Red grows to the right, green downwards, so that a crop shows where it lies."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), 0 * x], -1).astype("u1")
    )


def test_to_tensor_is_exact():
    got = to_tensor(Image.fromarray(np.array([[[0, 255, 51]]], dtype=np.uint8)))
    assert got.shape == (3, 1, 1) and got.dtype == torch.float32
    assert torch.equal(got.flatten(), (torch.tensor([0.0, 255, 51]) / 255 - 0.5) / 0.5)
    assert got.flatten()[:2].tolist() == [-1, 1]


def test_pixels_are_pillow_bilinear_then_cropped():
    source = image(60, 80)
    got = Transform(32, 40)(source, Draw(True, 0.5, 0.25))
    flipped = source.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((53, 40), Image.Resampling.BILINEAR)
    top, left = int(0.5 * 9), int(0.25 * 22)
    assert torch.equal(got, to_tensor(flipped.crop((left, top, left + 32, top + 32))))


@pytest.mark.parametrize(
    ("height", "width", "resize", "expected"),
    [(256, 256, 256, (256, 256)), (300, 451, 256, (256, 384)), (451, 300, 286, (429, 286)), (1, 1, 256, (256, 256))],
)
def test_shorter_side(height, width, resize, expected):
    assert Transform(256, resize).resized(height, width, cover=True) == expected


def test_what_is_resized_always_covers_the_crop():
    transform = Transform([50, 97])
    for height in range(1, 140, 7):
        for width in range(1, 140, 5):
            got = transform.resized(height, width, cover=True)
            assert got[0] >= 50 and got[1] >= 97 and (got[0] == 50 or got[1] <= 97 * 2 + width)
    assert transform.resized(50, 97, cover=True) == (50, 97)
    assert transform(image(20, 20), Draw(False, 0.999, 0.999)).shape == (3, 50, 97)


def test_crops_reach_every_place_and_flips_are_half():
    random, transform, source = generator(0), Transform(4, 6), image(6, 8)
    places, flips = set(), 0
    for _ in range(300):
        draw = transform.draw(random)
        flips += draw.flip
        places.add((int(draw.top * 3), int(draw.left * 5)))
        assert transform(source, draw).shape == (3, 4, 4)
    assert places == {(top, left) for top in range(3) for left in range(5)}
    assert 120 < flips < 180


def test_draws_depend_on_the_generator_alone_and_not_on_flip():
    flip, no_flip = Transform(8), Transform(8, flip=False)
    one, two = generator(3), generator(3)
    torch.manual_seed(1)
    for _ in range(20):
        a, b = flip.draw(one), no_flip.draw(two)
        assert (a.top, a.left) == (b.top, b.left) and not b.flip
    assert flip.draw(None) is None


def test_test_images_are_cropped_in_the_centre_or_kept_whole():
    source = image(20, 40)
    assert torch.equal(Transform(20)(source, None), to_tensor(source.crop((10, 0, 30, 20))))
    assert torch.equal(Transform(20, test_crop=False)(source, None), to_tensor(source))
    assert Transform(20, 30, test_crop=False)(source, None).shape == (3, 30, 60)
    assert Transform([10, 40], 10, test_crop=False)(image(9, 9), None).shape == (3, 10, 10)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"size": 256, "resize": 200}, "resize: 200 is smaller than the crop"),
        ({"size": [256, 512], "resize": 200}, "resize: 200 is smaller"),
        ({"size": 0}, "size: 0"),
        ({"size": True}, "size: True"),
        ({"size": [64]}, r"size: \[64\]"),
        ({"size": "64"}, "size: '64'"),
        ({"size": [64, 2.5]}, "size: 2.5"),
        ({"size": 8, "resize": 9.5}, "resize: 9.5"),
    ],
)
def test_options_that_make_no_sense(options, names):
    with pytest.raises(DataError, match=names) as caught:
        Transform(**options)
    assert caught.value.fix
