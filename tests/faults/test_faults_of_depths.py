"""Images of another depth, sign or number of bands: 86."""

import numpy as np
import pytest
from image_files import SIDE, noise, png16, ramp, tiff
from loaded import CATALOG

from i2i_forge.data import decode, depths
from i2i_forge.data.decode import check_header
from i2i_forge.data.survey import survey
from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import DataError, RecipeError
from i2i_forge.recipe.reading import read_recipe

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
        assert check_header(tmp_path / name) == expected.shape[1::-1], name
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
