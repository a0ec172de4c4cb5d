"""Image files that are refused, and what the pixels of others must be: 37 to 51."""

import sys

import numpy as np
import pytest
from image_files import (
    REFUSED,
    SIDE,
    fed,
    folder_of,
    noise,
    ramp,
    saved,
    write_refused,
)
from PIL import Image

from i2i_forge.data import check_images, decode
from i2i_forge.data.survey import survey
from i2i_forge.errors import DataError

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
    for name in ("eps", "psd", "gif"):  # nor under their own names
        (tmp_path / f"x.{name}").write_bytes(REFUSED[f"{name}.jpg"]())
        with pytest.raises(DataError, match="is not a readable JPEG, PNG"):
            decode(tmp_path / f"x.{name}")


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
    watch.train(tmp_path / "good", steps=3, every=3, data=folder_of(tmp_path / "data"), inject=record, anew=True)
    usual = int((tmp_path / "peak").read_text())
    refused_by_training(watch, tmp_path, "bomb-12288.png", inject=record, anew=True)
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
    ended = forge_watch.train(tmp_path / "straight", steps=6, anew=True, **settings)  # pytest hears a fork's warnings
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
