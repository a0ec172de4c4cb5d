"""The short way to a JPEG's header says what the long way says, or nothing."""

import io
import random

import pytest
from PIL import Image

from i2i_forge.data.decode import check_header, check_jpeg_header
from i2i_forge.errors import DataError


def saved(mode="RGB", size=(24, 16), orientation=0, kind="JPEG", **options):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.effect_noise(size, 50).convert(mode).save(data := io.BytesIO(), kind, exif=exif, **options)
    return data.getvalue()


KINDS = {
    "plain": saved(),
    "grey": saved("L"),
    "cmyk": saved("CMYK"),
    "progressive": saved(progressive=True),
    "turned": saved(orientation=6),
    "described": saved(comment=b"x" * 60000, icc_profile=bytes(70000)),
    "turned by its other metadata": saved(xmp=b'<x tiff:Orientation="8"/>'),
    "too long": saved(size=(2, 200)),
    "several frames": saved(kind="MPO", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
    "no JPEG": b"\x89PNG\r\n",
    "empty": b"",
}


def long_way(tmp_path, data):
    (tmp_path / "x.jpg").write_bytes(data)
    try:
        return check_header(tmp_path / "x.jpg")
    except DataError:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_agree(tmp_path, kind):
    data = KINDS[kind]
    found = check_jpeg_header(data)
    assert found in (None, long_way(tmp_path, data))
    assert (found is not None) == (kind not in ("too long", "no JPEG", "empty"))
    for length in range(0, min(len(data), 3000), 7):
        assert check_jpeg_header(data[:length]) in (None, found)
    assert check_jpeg_header(KINDS["described"][:16384]) is None


@pytest.mark.parametrize("kind", ["plain", "turned", "progressive", "several frames"])
def test_both_ways_agree_on_damage(tmp_path, kind):
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(KINDS[kind])
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(min(len(data), 700))] = draw.choice([0, 1, 255, 0xC0, 0xD8, 0xDA, draw.randrange(256)])
        found = check_jpeg_header(bytes(data[:16384]))
        assert found is None or found == long_way(tmp_path, bytes(data))
