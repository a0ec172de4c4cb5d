"""What `translate_files` writes: pixels, styles, sheets, names."""

import numpy as np
import pytest
import torch
from pictures import picture, pixels, write
from PIL import Image

from i2i_forge.data.decode import decode
from i2i_forge.data.images import to_uint8
from i2i_forge.data.transforms import Transform, to_tensor
from i2i_forge.system.seeding import generator
from i2i_forge.translate import files as translate_files_module
from i2i_forge.translate import tiles
from i2i_forge.translate.files import find_inputs, translate_files


def test_files_are_exact(translator, image, tmp_path):
    """No stretch, no second rounding: decode(PNG) is to_uint8(tensor)."""
    codes = []
    infer = translator.trainer.infer

    def spy(wanted, *given, **options):
        codes.extend([options["random_style"]] if "random_style" in options else [])
        return infer(wanted, *given, **options)

    translator.trainer.infer = spy
    try:
        first, second, _ = translate_files(translator, [image], tmp_path / "out", styles=2, batch=2)
    finally:
        del translator.trainer.infer
    x = to_tensor(decode(image))[None]
    for file, code in zip((first, second), torch.cat(codes), strict=True):
        expected = translator.translate(x, random_style=code[None])[0]
        assert np.array_equal(pixels(file), to_uint8(expected).permute(1, 2, 0).numpy())
        assert pixels(file).shape == (48, 56, 3)


def test_styles_are_the_same_for_every_input_and_whatever_their_number(translator, image, tmp_path):
    few = translate_files(translator, [image], tmp_path / "few", styles=2)
    many = translate_files(translator, [image, image], tmp_path / "many", styles=11)
    assert [f.name for f in few] == ["shoe-00.png", "shoe-01.png", "sheet.png"]
    assert len(many) == 23
    for number in range(11):
        assert many[number].read_bytes() == many[11 + number].read_bytes()
        if number < 2:  # of another batch, which may round otherwise
            one, other = (np.asarray(Image.open(file)).astype(int) for file in (few[number], many[number]))
            assert abs(one - other).max() <= 1
    assert len({f.read_bytes() for f in many[:11]}) == 11


def test_seed(translator, image, tmp_path):
    def bytes_of(name, seed):
        return [f.read_bytes() for f in translate_files(translator, [image], tmp_path / name, styles=2, seed=seed)[:2]]

    assert bytes_of("0", 0) == bytes_of("again", 0)
    assert set(bytes_of("0", 0)).isdisjoint(bytes_of("1", 1))


def test_interpolation_begins_and_ends_at_the_two_styles(translator, image, tmp_path):
    styles = translate_files(translator, [image], tmp_path / "styles", styles=2)[:2]
    steps = translate_files(translator, [image], tmp_path / "steps", interpolate=5)[:-1]
    assert len(steps) == 5
    assert np.abs(pixels(steps[0]).astype(int) - pixels(styles[0])).max() <= 1  # decoded in another batch size
    assert np.abs(pixels(steps[4]).astype(int) - pixels(styles[1])).max() <= 1
    assert len({f.read_bytes() for f in steps}) == 5


def test_reference(translator, image, tmp_path):
    reference = write(tmp_path / "boot.png", 70, 50, seed=9)
    [file, _] = translate_files(translator, [image], tmp_path / "out", reference=reference)
    style = translator.encode(to_tensor(decode(reference))[None], "style", "b")
    y = translator.translate(to_tensor(decode(image))[None], random_style=style)[0]
    assert np.array_equal(pixels(file), to_uint8(y).permute(1, 2, 0).numpy())
    other = write(tmp_path / "other.png", 70, 50, seed=10)
    assert not np.array_equal(pixels(translate_files(translator, [image], tmp_path / "o2", reference=other)[0]), y)
    steps = translate_files(translator, [image], tmp_path / "steps", reference=reference, interpolate=3)[:-1]
    first = translate_files(translator, [image], tmp_path / "first", styles=1)[0]
    assert np.abs(pixels(steps[0]).astype(int) - pixels(first)).max() <= 1
    assert np.abs(pixels(steps[2]).astype(int) - pixels(file)).max() <= 1


@pytest.mark.parametrize(("options", "columns"), [({"styles": 3}, 4), ({"interpolate": 6}, 7), ({"styles": 20}, 13)])
def test_the_sheet_has_a_column_for_the_input_and_each_style(translator, image, tmp_path, options, columns):
    second = write(tmp_path / "in/tall.png", 90, 30)
    sheet = translate_files(translator, [image, second], tmp_path / "out", **options)[-1]
    height, width, _ = pixels(sheet).shape
    assert width == columns * (128 + 4) + 4
    assert height == 27 + 2 * (128 + 4)


@pytest.mark.parametrize("large", [False, True])
def test_tiles_change_nothing_that_can_be_seen(translator, tmp_path, monkeypatch, large):
    image, shown = write(tmp_path / "in/wide.png", 150, 230), []
    whole = translate_files(translator, [image], tmp_path / "whole", styles=2, tile=0)
    monkeypatch.setattr(tiles, "LARGE", 1000)
    monkeypatch.setattr(tiles, "TILE", 64)
    monkeypatch.setattr(translator, "translate_in_tiles", lambda x, *given, translate=translator.translate_in_tiles,
                        **options: shown.append(options["tile"]) or translate(x, *given, **options))  # fmt: skip
    tiled = translate_files(translator, [image], tmp_path / "tiled", styles=2, tile=None if large else 96)
    assert shown == [64 if large else 96] * 2
    for one, other in zip(whole[:-1], tiled[:-1], strict=True):
        assert np.abs(pixels(one).astype(int) - pixels(other)).max() <= 1


def test_a_code_that_is_not_given_is_drawn_once_for_all_tiles(translator):
    draws = (torch.Generator().manual_seed(1) for _ in range(2))
    whole, tiled = picture(80, 96), picture(80, 96)
    whole = translator.translate(whole, generator=next(draws))
    tiled = translator.translate_in_tiles(tiled, tile=64, generator=next(draws))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


# ---- names -----------------------------------------------------------------------------------------------------


def test_names_of_folders_sort_and_differ(tmp_path):
    root = tmp_path / "images"
    files = ["a.png", "a.jpg", "a-2.png", "b/a.png", "b_a.png", "2.png", "10.png"]
    for number, name in enumerate(files):
        write(root / name, 8, 8, number)
    again = write(tmp_path / "elsewhere/a.png", 8, 8)
    found = find_inputs([root, again, root / "a.png"])
    names = [name for _, name in found]
    assert len(found) == 9 and len(set(names)) == 9
    assert {"a", "a-2", "b_a", "2", "10"} <= set(names)
    assert dict(found)[root / "a-2.png"] == "a-2"  # keeps its own
    assert names.index("2") < names.index("10")


def test_equal_names_are_all_written(translator, tmp_path):
    inputs = [write(tmp_path / folder / "a.png", seed=n) for n, folder in enumerate("xyz")]
    inputs.append(write(tmp_path / "w/a-2.png", seed=7))
    written = translate_files(translator, inputs, tmp_path / "out", styles=1)[:-1]
    assert len({f.name for f in written}) == 4
    assert len({f.read_bytes() for f in written}) == 4
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_file_names_sort_in_the_order_of_the_styles(translator, image, tmp_path):
    names = [f.name for f in translate_files(translator, [image], tmp_path, styles=101, batch=50)[:-1]]
    assert names == sorted(names) and names[0] == "shoe-000.png" and names[-1] == "shoe-100.png"


def test_the_sheet_of_many_inputs_is_spread_over_them(translator, tmp_path, monkeypatch):
    """Not the first names, which are variants of one thing in many folders."""
    monkeypatch.setattr(translate_files_module, "ON_SHEET", 3)
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    sheet = pixels(translate_files(translator, [tmp_path], tmp_path / "out")[-1])
    middles = [27 + 132 * row + 64 for row in range(3)]
    assert len(sheet) == 27 + 132 * 3 and [sheet[y, 68, 0] for y in middles] == [0, 80, 160]


def test_images_are_resized_as_in_training(translator, tmp_path):
    """What a run of small images learnt it knows at their size."""
    write(tmp_path / "large.png", 120, 200)
    (whole, _), (small, _) = (
        translate_files(translator, [tmp_path / "large.png"], tmp_path / str(size), resize=size) for size in (None, 60)
    )
    assert pixels(whole).shape == (120, 200, 3) and pixels(small).shape == (60, 100, 3)
    x = Transform(60, test_crop=False)(decode(tmp_path / "large.png"), None)[None]
    draw = generator(0, "styles", 0)
    style = translator.trainer.infer("random_style", {"a": torch.zeros(1, 3, 64, 64)}, "ab", generator=draw)
    expected = to_uint8(translator.translate(x, random_style=style)[0]).permute(1, 2, 0).numpy()
    assert np.abs(pixels(small).astype(int) - expected).max() <= 1
