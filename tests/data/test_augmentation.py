"""Augmentation beyond flip and crop: exact where it can be, alike for all images, filled by their domain."""

import hashlib
import importlib.util

import numpy as np
import pytest
import torch
from described import described
from PIL import Image

from i2i_forge.data import case_transform
from i2i_forge.data.layers import Picture, Planes
from i2i_forge.data.transforms import Draw, Transform
from i2i_forge.errors import DataError
from i2i_forge.system.seeding import generator

MR = {"range": [0, 1000]}
NAMES = ("a", "b", "mask")
DOMAINS = described(a=MR, b={"range": [-1024, 3071], "unit": "HU"}, mask={"kind": "labels"})


def transform(size=8, **said):
    options = {"resize": None, "flip": False, "test_crop": False, **said.pop("options", {})}
    return case_transform(DOMAINS, NAMES, size=size, augment=said or None, **options)


def numbers(**chosen):
    """What is drawn, nothing of which changes an image, but for these."""
    places = {"vertical": 0, "turns": 1, "angle": 2, "scale": 3, "down": 4, "right": 5, "foreground": 6, "pixel": 11}
    more = [0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    for name, value in chosen.items():
        more[places[name]] = value
    return tuple(more)


def moved(said, draw, array, fill=-1.0, label=False):
    size = [*array.shape[-2:]] if "size" not in said else said.pop("size")
    layers = {"a": Planes(array[None].astype(float), [fill], [label])}
    return transform(size, **said).together(layers, draw)["a"].array[0]


COUNTED = np.arange(20).reshape(4, 5)
SQUARE = np.arange(16).reshape(4, 4)


@pytest.mark.parametrize(
    ("said", "draw", "array", "expected"),
    [
        ({"options": {"flip": True}}, Draw(True, 0, 0, numbers()), COUNTED, COUNTED[:, ::-1]),
        ({"flip_vertical": True}, Draw(False, 0, 0, numbers(vertical=0.4)), COUNTED, COUNTED[::-1]),
        ({"turns": True}, Draw(False, 0, 0, numbers(turns=0.3)), SQUARE, np.rot90(SQUARE)),
        ({"turns": True}, Draw(False, 0, 0, numbers(turns=0.99)), SQUARE, np.rot90(SQUARE, 3)),
        ({"turns": True, "flip_vertical": True}, Draw(True, 0, 0, numbers(turns=0.5, vertical=0)), SQUARE,
         np.rot90(SQUARE[::-1, ::-1], 2)),
        ({"rotate": 90}, Draw(False, 0, 0, numbers(angle=0)), SQUARE, np.rot90(SQUARE)),
        ({"shift": 0.25}, Draw(False, 0, 0, numbers(down=1, right=0.5)), SQUARE,
         np.vstack([np.full(4, -1), SQUARE[:3]])),
        ({"shift": 0.25}, Draw(False, 0, 0, numbers(right=0)), SQUARE, np.hstack([SQUARE[:, 1:], np.full((4, 1), -1)])),
        ({"size": [2, 3]}, Draw(False, 0.9, 0.9, ()), COUNTED, COUNTED[2:, 2:]),
        ({"size": [6, 5]}, Draw(False, 0.9, 0.9, ()), COUNTED,
         np.vstack([np.full(5, -1), COUNTED, np.full(5, -1)])),
    ],
)  # fmt: skip
def test_flips_turns_shifts_and_crops_are_exact(said, draw, array, expected):
    found = moved(dict(said), draw, array)
    assert np.allclose(found, expected, atol=1e-4)
    if said.keys() <= {"options", "flip_vertical", "turns", "size"}:
        assert np.array_equal(found, expected)


def test_a_scale_of_two_keeps_the_middle():
    ramp = np.tile(np.arange(8.0), (8, 1))
    found = moved({"scale": [2, 2]}, Draw(False, 0, 0, numbers()), ramp)
    assert np.allclose(found[:, 1:-1], np.tile(np.linspace(1.75, 5.25, 8), (8, 1))[:, 1:-1], atol=0.01)


def test_what_is_turned_in_is_the_fill_and_labels_stay_labels():
    draw = Draw(False, 0, 0, numbers(angle=0.9, scale=0.1))
    said = {"rotate": 30, "scale": [0.8, 1]}
    whole = np.full((32, 32), 500.0)
    turned = moved(said, draw, whole, fill=-1024.0)
    assert {*np.unique(turned)} == {-1024, 500}  # the fill is not mixed with values
    labels = np.random.default_rng(0).choice([0, 3, 7], (32, 32))
    assert {*np.unique(moved(said, draw, labels, fill=0, label=True))} == {0, 3, 7}
    both = np.stack([labels, labels])
    layers = {"a": Planes(both.astype(float), [0, 0], [False, True])}
    mixed, kept = transform(32, **said).together(layers, draw)["a"].array
    assert {*np.unique(kept)} == {0, 3, 7} and len(np.unique(mixed)) > 20


def test_resizing_measured_images_averages_and_of_labels_takes_the_nearest():
    checks = np.indices((9, 9)).sum(0) % 2 * 6
    assert {*np.unique(Planes(checks[None].astype(float), [0], [True]).resized(5, 7).array)} == {0, 6}
    averaged = Planes(checks[None].astype(float), [0], [False]).resized(4, 4).array
    assert averaged.min() > 2 and averaged.max() < 4
    codes = np.full((1, 9, 9), 65535.0)
    assert (Planes(codes, [0], [False]).resized(4, 5).array == 65535).all()  # not cut to 8 bits, not truncated


def test_all_images_of_an_example_are_moved_alike():
    array = np.arange(40.0 * 30).reshape(40, 30)
    picture = Image.fromarray(np.stack([array % 200] * 3, -1).astype("u1"))
    said = {"flip_vertical": True, "turns": True, "shift": 0.2, "options": {"flip": True}}
    chosen, random = transform(16, **said), generator(4)
    for _ in range(20):
        draw = chosen.draw(random)
        layers = {"a": Planes(array[None] % 200, [0], [False]), "mask": Planes(array[None] % 200, [0], [True])}
        found = chosen.together({**layers, "b": Picture(picture)}, draw)
        a, mask, b = found["a"].array[0], found["mask"].array[0], np.asarray(found["b"].image)[:, :, 0]
        assert a.shape == mask.shape == b.shape == (16, 16)
        assert np.array_equal((a > 0) & (mask > 0), (a > 0) & (b > 0)) or np.abs(a - b).max() <= 1


def test_switching_one_off_moves_nothing_else():
    every = {"flip_vertical": True, "turns": True, "rotate": 9, "scale": [0.9, 1.1], "shift": 0.1,
             "foreground": {"mask": 0.5}, "jitter": {"a": {"times": [0.9, 1.1]}}, "noise": {"a": 0.1}}  # fmt: skip
    drawn = [transform(**every).draw(generator(0)), *(
        transform(**{key: value for key, value in every.items() if key != off}).draw(generator(0)) for off in every
    )]  # fmt: skip
    assert len(set(drawn)) == 1 and len(drawn[0].more) == 12
    plain = Transform(8).draw(generator(0))
    assert (plain.top, plain.left, plain.more) == (drawn[0].top, drawn[0].left, ())  # as recipes always drew them


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_crops_hold_foreground_at_the_rate_that_is_asked(share):
    mask = np.zeros((1, 64, 64))
    mask[0, 50:53, 3:5] = 1
    chosen, random, held = transform(8, foreground={"mask": share}), generator(1), []
    places = set()
    for _ in range(400):
        layers = {"a": Planes(np.arange(64.0 * 64).reshape(1, 64, 64), [0], [False]), "mask": Planes(mask, [0], [True])}
        found = chosen.together(layers, chosen.draw(random))
        held.append(found["mask"].array.any())
        places.add(found["a"].array[0, 0, 0])
    by_chance = 10 * 9 / 57**2
    assert np.mean(held) == pytest.approx(share + (1 - share) * by_chance, abs=0.06)
    assert len(places) > 20
    empty = {"mask": Planes(np.zeros((1, 64, 64)), [0], [True])}
    assert chosen.together(empty, chosen.draw(random))["mask"].array.shape == (1, 8, 8)
    assert chosen.together({"a": layers["a"]}, chosen.draw(random))["a"].array.shape == (1, 8, 8)  # unpaired


def test_jitter_and_noise_stay_in_the_range_and_change_the_named_image_alone():
    said = transform(jitter={"a": {"times": [0.5, 1.5], "plus": 0.2, "gamma": [0.5, 2]}}, noise={"b": 0.3}).augment
    x = torch.linspace(-1, 1, 1001).reshape(1, 7, 143)
    seen = set()
    for seed in range(20):
        drawn = torch.rand(12, generator=generator(seed), dtype=torch.float64).tolist()
        a, b, mask = (said.intensities(name, x, drawn) for name in NAMES)
        assert torch.equal(mask, x) and a.dtype == b.dtype == torch.float32
        assert a.abs().max() <= 1 and b.abs().max() <= 1 and (a.flatten().diff() >= 0).all()
        assert (b - x)[0, 2:5].std() == pytest.approx(0.3, rel=0.2)
        assert torch.equal(b, said.intensities("b", x, drawn))
        seen.add(a[0, 3, 3].item())
    assert len(seen) == 20
    nothing = transform(jitter={"a": {}}).augment
    assert torch.allclose(nothing.intensities("a", x, drawn), x, atol=1e-6)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"jitter": {"b": {"times": [0.9, 1.1]}}}, "augment.jitter.b: its values are HU"),
        ({"jitter": {"mask": {"plus": 0.1}}}, "augment.jitter.mask: it has labels"),
        ({"noise": {"mask": 0.1}}, "augment.noise.mask: it has labels"),
        ({"noise": {"c": 0.1}}, "augment.noise: there is no image 'c'"),
        ({"foreground": {"msk": 0.1}}, "augment.foreground: there is no image 'msk'"),
        ({"foreground": {"mask": 2}}, r"augment\.foreground\.mask: .*less than or equal to 1"),
        ({"rotat": 3}, r"augment\.rotat: "),
        ({"rotate": "much"}, r"augment\.rotate: .*number"),
        ({"scale": [0, 1]}, r"augment\.scale\.0: "),
        ({"turns": "yes"}, r"augment\.turns: .*boolean"),
        ({"jitter": {"a": {"gama": 1}}}, r"augment\.jitter\.a\.gama: "),
    ],
)
def test_options_that_make_no_sense(said, words):
    with pytest.raises(DataError, match=words) as error:
        transform(**said)
    assert error.value.fix


def test_units_may_be_changed_where_that_is_said():
    assert transform(jitter={"b": {"times": [0.9, 1.1], "allow_unit": True}}).augment
    with pytest.raises(DataError, match="foreground, jitter and noise are for measured images"):
        Transform(8, augment={"noise": {"a": 0.1}})
    with pytest.raises(DataError, match=r"augment.foreground: a is 8-bit RGB"):
        case_transform(described(), "a", size=8, resize=None, flip=False, test_crop=False,
                       augment={"foreground": {"a": 0.1}})  # fmt: skip


PICTURES = ("astronaut", "coffee", "chelsea", "ihc", "brick")


def test_8_bit_pictures_are_resized_as_ever():
    """Golden: what Pillow makes of five pictures at four sizes; resizing floats would move every tenth value."""
    folder = importlib.util.find_spec("skimage").submodule_search_locations[0]
    digest = hashlib.sha256()
    for name in PICTURES:
        picture = Image.open(f"{folder}/data/{name}.png").convert("RGB")
        for size in (256, 286, 128, 600):
            digest.update(Transform(min(size, 256), size)(picture, Draw(True, 0.3, 0.7)).numpy().tobytes())
    assert digest.hexdigest() == "6333674717a93409fc21856fe7fe3b3e5678b316373ccda90b29fa76c8688f16"
