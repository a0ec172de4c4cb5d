"""Image files: 37 to 51 and 86, and what else lies in a folder: 54."""

import builtins
import io
import sys

import numpy as np
import pytest
from image_files import (
    REFUSED,
    SIDE,
    fed,
    folder_of,
    noise,
    png16,
    ramp,
    saved,
    tiff,
    write_odd_entries,
    write_refused,
)
from loaded import CATALOG
from PIL import Image

from i2i_forge.data import check_images, decode, depths, list_images
from i2i_forge.data.decode import check_header
from i2i_forge.data.survey import survey
from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import DataError, RecipeError
from i2i_forge.recipe.reading import read_recipe

MEGABYTES_OF_A_BOMB = 200
# that an anchor leaves a file open is not what is judged here
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")


# ---- files that are refused: by the reader, by `forge data check`, by training ---------------------------------------


def refused_by_call(tmp_path, *names):
    """The reader names the file, and `forge data check` lists it beside what is good."""
    for name in names:
        folder = folder_of(tmp_path / name.replace(".", "-"), write_refused(name), name)
        bad = folder / "trainA" / name
        with pytest.raises(DataError) as caught:
            decode(bad)
        assert caught.value.message.startswith(f"{bad}: ") and caught.value.fix
        assert len(str(caught.value).splitlines()) <= 6
        found = survey(folder)
        assert list(found.damaged) == [bad] and sum(len(part.sizes) for part in found.parts) == 11


def refused_by_training(watch, tmp_path, *names, **options):
    """Training ends with exit code 4 and the name."""
    for name in names:
        folder = folder_of(tmp_path / f"data-{name}", write_refused(name), name)
        ended = watch.train(tmp_path / f"run-{name}", steps=3, every=3, data=folder, **options)
        ended.refused(4, name)


def test_37_an_empty_file_by_call(tmp_path):
    refused_by_call(tmp_path, "empty.jpg")


def test_38_a_truncated_image_by_call(tmp_path):
    refused_by_call(tmp_path, "cut.jpg", "cut.png")


def test_39_text_by_call(tmp_path):
    refused_by_call(tmp_path, "page.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_48_a_large_bomb_by_call(tmp_path):
    refused_by_call(tmp_path, "bomb-20480.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_49_a_bomb_by_call(tmp_path):
    refused_by_call(tmp_path, "bomb-12288.png")


def test_50_other_formats_in_disguise_by_call(tmp_path):
    refused_by_call(tmp_path, "eps.jpg", "psd.jpg", "fits.jpg", "gif.jpg")


def test_37_many_bad_files_make_one_message_before_training(forge_watch, tmp_path):
    """Those whose header shows it: all but the truncated ones."""
    names = [name for name in REFUSED if not name.startswith("cut")]

    def write(path):
        for name in names:
            write_refused(name)(path.with_name(name))

    folder, run = folder_of(tmp_path / "data", write, "all"), tmp_path / "run"
    ended = forge_watch.train(run, steps=3, every=3, data=folder)
    ended.refused(4, f"{len(names)} of {11 + len(names)} images cannot be used", "bomb-12288.png", "on_bad: skip")
    assert not (run / "checkpoints").exists()


@pytest.mark.slow
def test_37_an_empty_file(watch, tmp_path):
    refused_by_training(watch, tmp_path, "empty.jpg")


@pytest.mark.slow
def test_38_a_truncated_image(watch, tmp_path):
    refused_by_training(watch, tmp_path, "cut.jpg", "cut.png")


@pytest.mark.slow
def test_39_text(watch, tmp_path):
    refused_by_training(watch, tmp_path, "page.jpg")


@pytest.mark.slow
def test_48_a_large_bomb(watch, tmp_path):
    refused_by_training(watch, tmp_path, "bomb-20480.png")


@pytest.mark.slow
def test_49_a_bomb(watch, tmp_path):
    """It is refused, and the process never holds its pixels."""
    record = f"""
import atexit, resource
atexit.register(lambda: open({str(tmp_path / "peak")!r}, "w").write(str(resource.getrusage(0).ru_maxrss)))
"""
    watch.train(tmp_path / "good", steps=3, every=3, data=folder_of(tmp_path / "data"), inject=record)
    usual = int((tmp_path / "peak").read_text())
    refused_by_training(watch, tmp_path, "bomb-12288.png", inject=record)
    assert int((tmp_path / "peak").read_text()) - usual < MEGABYTES_OF_A_BOMB * 1024


def test_49_memory_of_a_bomb(forge_watch, tmp_path):
    """Above what importing takes; without the limit of pixels it would be 750 MB."""
    write_refused("bomb-12288.png")(tmp_path / "bomb.png")
    program = """
import resource, sys
from i2i_forge.data import decode
from i2i_forge.errors import DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(sys.argv[1])
except DataError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ended = forge_watch.end(forge_watch.start([sys.executable, "-c", program, tmp_path / "bomb.png"]))
    assert int(ended.out) < MEGABYTES_OF_A_BOMB * 1024


@pytest.mark.slow
def test_50_formats_that_start_programs(watch, tmp_path):
    refused_by_training(watch, tmp_path, "eps.jpg", "psd.jpg", "fits.jpg")


# ---- on_bad: skip ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_38_skipping_goes_on_and_resumes_with_the_same_weights(forge_watch, tmp_path):
    """One bad header, one file that is damaged behind it; with and without workers, in one go and in two."""
    folder = folder_of(tmp_path / "data", write_refused("cut.png"), "cut.png")
    write_refused("empty.jpg")(folder / "trainA" / "empty.jpg")
    settings = {"every": 3, "data": folder, "changes": ("data.on_bad=skip",)}
    ended = forge_watch.train(tmp_path / "straight", steps=6, **settings)
    assert ended.code == 0, ended.err
    assert "1 of 13 images cannot be used" in ended.err and "empty.jpg: is empty" in ended.err
    log = (tmp_path / "straight" / "log.txt").read_text()
    assert "the next image is taken instead (1 so far)" in log and "cut.png: cannot be read" in log
    for steps, workers in ((3, 0), (6, 2)):
        assert forge_watch.train(tmp_path / "run", steps=steps, workers=workers, **settings).code == 0
    forge_watch.same_weights(tmp_path / "run", forge_watch.left(tmp_path / "straight"))


# ---- files that are read, and what their pixels must be --------------------------------------------------------------


def given(watch, tmp_path, content, name="image.png"):
    """What the network is given for a file. By default it has a name that every subject takes for an image."""
    folder = tmp_path / f"data-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    (folder / name).write_bytes(content)
    return fed(watch.subject, folder / name)


def close(pixels, expected, tolerance=1.0):
    assert np.abs(pixels - expected).max() <= tolerance


def grey(values):
    """64,64 of 0..255 as RGB."""
    return np.repeat(np.asarray(values, dtype=float)[..., None], 3, axis=2)


def test_40_a_wrong_extension(watch, tmp_path):
    close(given(watch, tmp_path, saved("PNG"), "image.jpg"), noise())


def test_41_cmyk(watch, tmp_path):
    cyan = saved("JPEG", Image.new("CMYK", (SIDE, SIDE), (255, 0, 0, 0)), quality=100)
    close(given(watch, tmp_path, cyan), [0, 255, 255], 3)


def test_42_sixteen_bit(watch, tmp_path):
    deep = Image.fromarray(np.rint(ramp() * 65535).astype(np.uint16))
    for kind in ("PNG", "TIFF"):
        close(given(watch, tmp_path, saved(kind, deep)), grey(ramp() * 255))


def test_43_float_tiff(watch, tmp_path):
    close(given(watch, tmp_path, saved("TIFF", Image.fromarray(ramp().astype(np.float32)))), grey(ramp() * 255))


def test_43_floats_without_a_range_are_refused(tmp_path):
    (tmp_path / "x.tif").write_bytes(saved("TIFF", Image.fromarray(ramp().astype(np.float32) * 1000)))
    with pytest.raises(DataError, match="values outside"):
        check_images([tmp_path / "x.tif"])


def test_44_alpha(watch, tmp_path):
    """Transparent red becomes white, the half that is opaque keeps its colour."""
    expected = np.full((SIDE, SIDE, 3), 255)
    expected[SIDE // 2 :] = [0, 0, 200]
    rgba = np.dstack([expected, np.full((SIDE, SIDE), 255)]).astype(np.uint8)
    rgba[: SIDE // 2] = [255, 0, 0, 0]
    close(given(watch, tmp_path, saved("PNG", Image.fromarray(rgba))), expected)
    close(given(watch, tmp_path, saved("WEBP", Image.fromarray(rgba), lossless=True)), expected)
    palette = Image.fromarray((np.arange(SIDE) >= SIDE // 2).astype(np.uint8).repeat(SIDE).reshape(SIDE, SIDE), "L")
    palette.putpalette([255, 0, 0, 0, 0, 200])
    close(given(watch, tmp_path, saved("PNG", palette, transparency=0)), expected)


def test_45_palette_one_bit_and_grey(watch, tmp_path):
    steps = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 200).astype(np.uint8)
    close(given(watch, tmp_path, saved("PNG", Image.fromarray(steps))), grey(steps))
    bits = (steps > 99).astype(np.uint8) * 255
    close(given(watch, tmp_path, saved("PNG", Image.fromarray(bits).convert("1"))), grey(bits))
    palette = Image.fromarray(steps, "L")
    palette.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    close(given(watch, tmp_path, saved("PNG", palette)), np.dstack([steps, 255.0 - steps, steps * 0.0 + 7]))


def test_46_exif_rotation(watch, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    stored = Image.fromarray(noise())
    upright = np.rot90(noise(), -1)
    close(given(watch, tmp_path, saved("PNG", stored, exif=exif)), upright)
    smooth = Image.fromarray(np.rint(ramp() * 255).astype(np.uint8))
    jpeg = saved("JPEG", smooth, exif=exif, quality=100)
    close(given(watch, tmp_path, jpeg), grey(np.rot90(ramp() * 255, -1)), 8)


def test_47_animations_and_pages(watch, tmp_path):
    """The first frame. (GIF is not among the formats that forge reads; it says so.)"""
    frames = {"save_all": True, "append_images": [Image.new("RGB", (SIDE, SIDE), "red")]}
    close(given(watch, tmp_path, saved("WEBP", lossless=True, **frames)), noise())
    close(given(watch, tmp_path, saved("TIFF", **frames)), noise())
    close(given(watch, tmp_path, saved("PNG", **frames)), noise())


def test_51_smaller_than_the_crop(watch, tmp_path):
    """It is enlarged until it covers the crop."""
    close(given(watch, tmp_path, saved("PNG", Image.new("RGB", (1, 1), (9, 99, 199)))), [9, 99, 199])
    pixels = given(watch, tmp_path, saved("PNG", Image.new("RGB", (40, 3), (9, 99, 199))))
    assert pixels.shape == (SIDE, SIDE, 3)
    close(pixels, [9, 99, 199])


def test_40_41_44_47_what_is_unusual_is_noted(tmp_path):
    first = saved("PNG")
    files = {
        "40.jpg": first,
        "41.jpg": saved("JPEG", Image.new("CMYK", (SIDE, SIDE))),
        "42.png": saved("PNG", Image.fromarray(np.zeros((SIDE, SIDE), dtype=np.uint16))),
        "44.png": saved("PNG", Image.new("RGBA", (SIDE, SIDE))),
        "45.jpg": saved("JPEG", icc_profile=bytes(200)),
        "47.webp": saved("WEBP", save_all=True, append_images=[Image.new("RGB", (SIDE, SIDE))]),
        "48.png": first,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = survey(tmp_path)
    assert {note: [path.name for path in paths] for note, paths in found.noted.items()} == {
        "PNG although named .jpg": ["40.jpg"],
        "CMYK is converted without a colour profile": ["41.jpg"],
        "more than 8 bits are rounded to 8": ["42.png"],
        "transparent parts become white": ["44.png"],
        "the colour profile is not applied": ["45.jpg"],
        "of several frames or pages the first is used": ["47.webp"],
    }


# ---- images of another depth, sign or number of bands ----------------------------------------------------------------

BANDS = np.concatenate([noise(), noise(1)[..., :1]], 2)  # 64,64,4 of 8 bits
DEEP = BANDS.astype(np.uint16) * 257
UNIT = ramp()
PPM = b"P6 64 64 4095\n" + (DEEP[..., :3] // 16).astype(">u2").tobytes()
NOT_TAKEN = {
    "rgb.png": (lambda: png16(DEEP[..., :3], 2), "is a 16-bit PNG of 3 bands"),
    "rgba.png": (lambda: png16(DEEP, 6), "is a 16-bit PNG of 4 bands"),
    "la.png": (lambda: png16(DEEP[..., :2], 4), "is a 16-bit PNG of 2 bands"),
    "rgb.ppm": (lambda: PPM, "is a 12-bit PPM of 3 bands"),
    "rgb.tif": (lambda: tiff(DEEP[..., :3], 2), "is a TIFF of 3 bands of uint16"),
    "unspecified.tif": (lambda: tiff(BANDS, 2, (0,)), "is a TIFF of 4 bands of uint8 (RGB and 1 more"),
    "untold.tif": (lambda: tiff(BANDS, 2), "is a TIFF of 4 bands of uint8 (RGB and 1 more"),
    "grey4.tif": (lambda: tiff(BANDS), "is a TIFF of 4 bands of uint8 (grey and 3 more"),
    "planar4.tif": (lambda: tiff(BANDS, planar=True), "is a TIFF of 4 bands of uint8 (grey and 3 more"),
    "two.tif": (lambda: tiff(BANDS[..., :2], 1, (0,)), "is a TIFF of 2 bands of uint8 (grey and 1 more"),
    "two-floats.tif": (lambda: tiff(np.dstack([UNIT, UNIT]).astype(np.float32)), "is a TIFF of 2 bands of float32"),
    "three-floats.tif": (lambda: tiff(np.dstack([UNIT] * 3).astype(np.float32), 2), "is a TIFF of 3 bands of float32"),
    "signed.tif": (lambda: tiff(BANDS[..., 0].astype(np.int8)), "is an int8 TIFF"),
    "white-16.tif": (lambda: tiff(DEEP[..., 0], 0), "is a uint16 TIFF with white at 0 (MinIsWhite)"),
    "white-float.tif": (lambda: tiff(UNIT.astype(np.float32), 0), "is a float32 TIFF with white at 0 (MinIsWhite)"),
    "double.tif": (lambda: tiff(UNIT), "is a float64 TIFF"),
    "double-mm.tif": (lambda: tiff(UNIT, order=">"), "is a float64 TIFF"),
    "half.tif": (lambda: tiff(UNIT.astype(np.float16)), "is a float16 TIFF"),
    "complex.tif": (lambda: tiff(UNIT.astype(np.complex64)), "is a complex64 TIFF"),
}


def test_86_what_has_another_depth_sign_or_number_of_bands_is_refused_by_what_it_is(tmp_path):
    for name, (content, says) in NOT_TAKEN.items():
        (tmp_path / name).write_bytes(content())
        for read in (decode, check_header):
            with pytest.raises(DataError) as caught:
                read(tmp_path / name)
            assert caught.value.message.startswith(f"{tmp_path / name}: {says}"), caught.value.message
            assert caught.value.fix == "make it 8-bit grey or RGB, 16-bit grey, or float32 grey in [0, 1]"
    assert {path.name for path in survey(tmp_path).damaged} == set(NOT_TAKEN)


def test_86_what_is_like_it_is_read_as_before(tmp_path):
    opaque = np.dstack([BANDS[..., :3], np.full((SIDE, SIDE), 255, np.uint8)])
    grey = np.dstack([BANDS[..., 0]] * 3)
    files = {
        "rgb": (tiff(BANDS[..., :3], 2), BANDS[..., :3]),
        "planar": (tiff(BANDS[..., :3], 2, planar=True), BANDS[..., :3]),
        "alpha": (tiff(opaque, 2, (2,)), BANDS[..., :3]),
        "grey and alpha": (tiff(opaque[..., [0, 3]], 1, (2,)), grey),
        "white at 0": (tiff(255 - BANDS[..., 0], 0), grey),
        "16 bit": (tiff(DEEP[..., 0]), grey),
        "16 bit, the other order": (tiff(DEEP[..., 0], order=">"), grey),
        "float": (tiff((BANDS[..., 0] / 255).astype(np.float32)), grey),
        "16-bit PNG": (png16(DEEP[..., :1], 0), grey),
    }
    for name, (content, expected) in files.items():
        (tmp_path / name).write_bytes(content)
        assert np.array_equal(np.asarray(decode(tmp_path / name)), expected), name
    (tmp_path / "clear").write_bytes(tiff(np.dstack([BANDS[..., :3], np.zeros((SIDE, SIDE), np.uint8)]), 2, (2,)))
    assert np.asarray(decode(tmp_path / "clear")).min() == 255


def test_86_a_small_part_of_16_bits_is_said(tmp_path, caplog, monkeypatch):
    for number, high in enumerate((9640, 9000, 40000)):
        thermal = np.rint(7600 + ramp() * (high - 7600)).astype(np.uint16)
        (tmp_path / f"{number}.png").write_bytes(png16(thermal[..., None], 0))
    monkeypatch.setattr(depths, "_told", bytearray(1))
    for number in (2, 0, 1):
        decode(tmp_path / f"{number}.png")
    left = "at most 5 % of the range is used, so at most 13 of 256 grey levels are left"
    said = f"{tmp_path}/0.png: 16-bit grey from 7600 to 9640: {left}; stretch it, all files alike"
    assert [record.message for record in caplog.records] == [said]
    noted = survey(tmp_path).noted
    assert [path.name for path in noted[left]] == ["0.png", "1.png"]


@pytest.mark.parametrize(
    ("recipe", "change", "role", "channels", "shown"),
    [
        ("pix2pix_synthetic", "encoder.channels=6", "encoder", 6, 3),
        ("pix2pix_synthetic", "discriminator.channels=9", "discriminator", 9, 6),
        ("munit_synthetic", "content_encoder.channels=1", "content_encoder", 1, 3),
    ],
)
def test_86_networks_of_other_channels_are_refused_without_data(recipe, change, role, channels, shown):
    made = read_recipe(recipe, set=[f"networks.{change}"])
    says = rf"networks\.{role}: the network has channels {channels}, what it is shown has {shown}"
    with pytest.raises(RecipeError, match=says) as caught:
        trace_recipe(made, CATALOG)
    assert "images have 3 channels (RGB)" in caught.value.fix


# ---- what is no image file -------------------------------------------------------------------------------------------


def test_54_fifos_links_and_loops_by_call(tmp_path):
    folder = folder_of(tmp_path / "data")
    write_odd_entries(folder / "trainA")
    names = [path.relative_to(folder / "trainA").as_posix() for path in list_images(folder / "trainA")]
    assert len(names) == 11 and names[:4] == ["0.png", "1.png", "2.png", "3.png"]  # `up` shows trainB's six too


def test_54_links_are_no_way_into_a_fifo(tmp_path):
    write_odd_entries(folder_of(tmp_path / "data") / "trainA")
    for name in ("fifo.jpg", "device.jpg", "broken.png", "self.png", "loop"):
        with pytest.raises(DataError, match=name):
            decode(tmp_path / "data/trainA" / name)


UNREADABLE = """
import builtins, io
_open = builtins.open
def open_(file, *arguments, **options):
    if str(file).endswith("secret.png"):
        raise PermissionError(13, "Permission denied", str(file))
    return _open(file, *arguments, **options)
builtins.open = io.open = open_
"""


def test_54_an_unreadable_file_by_call(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "data", lambda path: path.write_bytes(saved("PNG")), "secret.png")
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", open)  # put back at the end
    exec(UNREADABLE, {})
    with pytest.raises(DataError, match=r"1 of 6 images .*secret\.png: cannot be read: .*Permission denied"):
        check_images(list_images(folder / "trainA"))


@pytest.mark.slow
def test_54_fifos_links_and_loops(watch, tmp_path):
    folder = folder_of(tmp_path / "data", good=6)
    write_odd_entries(folder / "trainA")
    (folder / "trainA" / "up").unlink()
    ended = watch.train(tmp_path / "run", steps=3, every=3, data=folder)
    assert ended.code == 0, ended.err[-2000:]


@pytest.mark.slow
def test_54_an_unreadable_file(watch, tmp_path):
    folder = folder_of(tmp_path / "data", lambda path: path.write_bytes(saved("PNG")), "secret.png")
    ended = watch.train(tmp_path / "run", steps=3, every=3, data=folder, inject=UNREADABLE)
    ended.refused(4, "secret.png")
