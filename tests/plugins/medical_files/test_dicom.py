"""DICOM pictures, series and frames: every trap, and files of others as pydicom reads them."""

import gzip
import pickle
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from series import SERIES, nine, slice_file  # noqa: E402
from shipped import shipped  # noqa: E402

from i2i_forge.data import BadImage, Stored  # noqa: E402
from i2i_forge.errors import DataError  # noqa: E402
from i2i_forge_plugins.medical_files.dicom import Dicom  # noqa: E402

CODES = np.random.default_rng(0).integers(0, 2048, (9, 10, 12)).astype(np.int16)
TESTS = "data/test_files/"
HU = {"slope": (1.0,), "offset": (-1024.0,), "unit": "HU"}
MR = ((1, 64, 64), "int16", 127, 2145, 518.881348, {})
DIRS = "dicomdirtests/"
DOSE = {"slope": (1e-6,), "axes": (("z", 15),), "unit": "", "spacing": (5, 10, 10)}


def opened(name: str, package: str = "pydicom") -> Stored:
    return Dicom().open(shipped(package, (TESTS if package == "pydicom" else "nicom/tests/data/") + name))


def quantity(stored: Stored) -> Any:
    return stored.array().astype(np.float64) * stored.header.slope[0] + stored.header.offset[0]


REAL = [  # file, shape, dtype, least, greatest, mean, what the header says
    ("CT_small.dcm", (1, 128, 128), "int16", -896, 1167, -119.073853, {**HU, "nodata": (-2000,)}),
    *((f"MR_small{each}.dcm", *MR) for each in
      ("", "_bigendian", "_implicit", "_expb", "_RLE", "_jp2klossless", "_padded")),
    ("693_J2KI.dcm", (1, 512, 512), "int16", -3995, 1812, -1032.322845, {**HU, "bits": 14, "nodata": (-2000,)}),
    ("J2K_pixelrep_mismatch.dcm", (1, 512, 512), "int16", -2000, 1896, -658.436806, {"bits": 13}),
    ("examples_overlay.dcm", (1, 300, 484), "uint16", 0, 1123, 191.687686, {"bits": 12}),
    ("image_dfl.dcm", (1, 512, 512), "uint8", 0, 255, 127.115967, {}),
    ("rtdose.dcm", (15, 1, 10, 10), "uint32", 0.795, 1.254, 1.013273333333, DOSE),
    ("rtdose_rle.dcm", (15, 1, 10, 10), "uint32", 0.795, 1.254, 1.013273333333, DOSE),
    ("liver_1frame.dcm", (1, 512, 512), "uint8", 0, 1, 0.138218, {"bits": 1}),
    ("liver_expb_1frame.dcm", (1, 512, 512), "uint8", 0, 1, 0.138218, {"bits": 1}),
    ("SC_rgb_rle_16bit.dcm", (3, 100, 100), "uint16", 0, 65535, 32818.9, {"pixels": "colour"}),
    ("SC_rgb_rle_2frame.dcm", (2, 3, 100, 100), "uint8", 0, 255, 127.5, {"axes": (("t", 2),)}),
    ("SC_ybr_full_422_uncompressed.dcm", (3, 100, 100), "uint8", 0, 255, 127.733333, {"channels": ("R", "G", "B")}),
    ("examples_palette.dcm", (1, 350, 800), "uint8", 0, 255, 53.659121, {"pixels": "palette", "polarity": ""}),
    (DIRS + "98892001/CT5N", (5, 1, 16, 16), "int16", -888, 85, -138.53125, HU),
    (DIRS + "77654033/CR3", (1, 1, 16, 16), "uint16", 1622.036, 2139.824, 1838.252141, {"polarity": "white_is_low"}),
    (DIRS + "77654033/CR2", (1, 1, 16, 16), "uint16", 1021.484, 1477.712, 1268.624422, {"slope": (0.684,)}),
    (DIRS + "77654033/CR1", (1, 1, 16, 16), "uint16", 1563.896, 2116.568, 1926.274390, {"offset": (200.0,)}),
]  # fmt: skip


@pytest.mark.parametrize("row", REAL, ids=lambda row: row[0])
def test_files_of_others_have_the_values_of_pydicom(row: Any) -> None:
    name, shape, dtype, least, greatest, mean, says = row
    stored = opened(name)
    header, values = stored.header, quantity(stored)
    assert (header.shape, header.dtype) == (shape, dtype)
    assert stored.array().shape == shape and stored.array().dtype == np.dtype(dtype)
    np.testing.assert_allclose(
        [values.min(), values.max(), values.mean()], [least, greatest, mean], rtol=1e-6, atol=5e-7
    )
    assert {key: getattr(header, key) for key in says} == says
    again = pickle.loads(pickle.dumps(stored))
    at = {axis: length - 1 for axis, length in header.axes}
    assert np.array_equal(again.read(at, slice(2, 9), slice(3, 5)), stored.array()[tuple(at.values())][:, 2:9, 3:5])


@pytest.mark.parametrize(
    ("name", "dtype", "least", "greatest", "mean"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "int16", 127, 2145, 518.881348),
        ("JPEGLSNearLossless_16.dcm", "uint16", 0, 65535, 12014.5),
        ("SC_rgb_jpeg_gdcm.dcm", "uint8", 0, 255, 127.7),
        ("GDCMJ2K_TextGBR.dcm", "uint8", 0, 255, 124.435881),
    ],
)
def test_pixels_for_which_decoders_are_installed(
    name: str, dtype: str, least: float, greatest: float, mean: float
) -> None:
    pytest.importorskip("gdcm")
    pytest.importorskip("jpeg_ls")
    values = opened(name).array()
    assert (values.dtype.name, values.min(), values.max()) == (dtype, least, greatest)
    assert abs(values.mean() - mean) < 1e-6 * mean


def test_slices_that_are_no_volume_are_pictures() -> None:
    values = np.stack([quantity(opened(f"{DIRS}77654033/CT2/{name}")) for name in (17106, 17136, 17166, 17196)])
    assert (values.min(), values.max(), values.mean()) == (-981, 1489, 557.8466796875)


WITHOUT = """
import sys, pathlib
sys.modules["gdcm"] = sys.modules["jpeg_ls"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("gdcm", "jpeg_ls") else find(name, *rest)
from i2i_forge_plugins.medical_files.dicom import Dicom
for path in sys.argv[1:]:
    try:
        Dicom().open(pathlib.Path(path)).array()
        print("read")
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
"""


def test_pixels_for_which_none_is_installed_name_the_extra() -> None:
    names = ("MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm", "GDCMJ2K_TextGBR.dcm", "MR_small_RLE.dcm")
    paths = [str(shipped("pydicom", TESTS + name)) for name in names]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *paths], capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert said[3] == "read"
    for line, path, syntax in zip(said, paths, ("JPEG-LS Lossless", "JPEG Lossless", "JPEG 2000"), strict=False):
        assert line.startswith(f"DataError {path}: its pixels are {syntax}"), line
        assert line.endswith("pip install 'i2i-forge[dicom-codecs]'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MR_truncated.dcm", "8,130 bytes of values, its header says 8,192"),
        ("JPEG-lossy.dcm", "its pixels are JPEG Extended"),
        ("JPGExtended.dcm", "its pixels are JPEG Extended"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "its pixels are JPEG 2000"),
        ("no_meta.dcm", "no DICOM preamble, and no Rows"),
        ("ExplVR_LitEndNoMeta.dcm", "no DICOM preamble, and no Rows"),
        ("rtplan.dcm", "has no pixels, or ends before them .RT Plan Storage"),
        ("badVR.dcm", "cannot be read: invalid literal"),
        (DIRS + "DICOMDIR", "is a DICOMDIR"),
        (DIRS + "77654033/CT2", "161 slices missing between -99.5 and 103.0 mm: gaps of 1.25 to 202.5 mm"),
        (DIRS + "98892003/MR700", "different orientations: .* in 4467, .* in 4528"),
        (DIRS + "98892001/CT2N", "different orientations: 0.-1.0.0.0.-1 in 6293, 1.0.0.0.0.-1 in 6924"),
        (DIRS + "98892003/MR1", "holds 3 series: .*0.134 FAST LOCALIZER .1 files"),
        (DIRS + "TINY_ALPHA/PT000000", "holds no DICOM files"),
    ],
)
def test_files_of_others_that_are_refused(name: str, said: str) -> None:
    if name.startswith("JP"):  # without these it is a DataError, which names them
        pytest.importorskip("gdcm")
        pytest.importorskip("jpeg_ls")
    with pytest.raises(BadImage, match=said) as raised:
        opened(name).array()
    assert name.rpartition("/")[2] in str(raised.value) and raised.value.fix


def test_enhanced_frames_lie_where_they_say_and_a_mosaic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mprage.dcm"
    path.write_bytes(gzip.decompress(shipped("nibabel", "nicom/tests/data/philips_mprage.dcm.gz").read_bytes()))
    stored = Dicom().open(path)
    header = stored.header  # sagittal: 176 columns to the back, 256 rows to the feet, 256 slices
    assert (header.axes, header.rows, header.columns, header.orientation) == ((("z", 256),), 256, 176, "PIR")
    np.testing.assert_allclose(header.spacing, 1, atol=1e-5)
    assert not stored.array().any()
    assert opened("decimal_rescale.dcm", "nibabel").header.slope == (2.0,)
    assert quantity(opened("decimal_rescale.dcm", "nibabel")).mean() == -4096
    with pytest.raises(BadImage, match="MOSAIC") as raised:
        opened("0.dcm", "nibabel")
    assert "dcm2niix" in str(raised.value.fix)


def test_a_series_is_ordered_by_position_alone(tmp_path: Path) -> None:
    nine(tmp_path / "s", CODES, RescaleSlope=2, RescaleIntercept=-1024, BitsStored=12, HighBit=11)
    assert Dicom().sniff(b"", tmp_path / "s") and not Dicom().sniff(b"", tmp_path)
    stored = Dicom().open(tmp_path / "s")
    header = stored.header
    assert np.array_equal(quantity(stored)[:, 0], (CODES.astype(float) - 4096 * (CODES > 2047)) * 2 - 1024)
    assert header.affine == ((0, 0, 0.9, -30), (0, 0.7, 0, -20), (3, 0, 0, 0))
    assert (header.spacing, header.orientation, header.unit, header.bits) == ((3, 0.7, 0.9), "LPS", "HU", 12)
    assert np.array_equal(stored.read({"z": 4}, slice(2, 5))[0], stored.array()[4, 0, 2:5])


@pytest.mark.parametrize(
    ("directions", "letters"),
    [([0, 1, 0, 0, 0, -1], "PIR"), ([1, 0, 0, 0, 0, -1], "LIP"), ([-1, 0, 0, 0, -1, 0], "RAS")],
)
def test_series_of_other_planes_are_turned(tmp_path: Path, directions: list[int], letters: str) -> None:
    normal = np.cross(directions[:3], directions[3:])
    (tmp_path / "s").mkdir()
    for place, plane in enumerate(CODES):
        slice_file(tmp_path / f"s/{place}", plane, 4.0 * place * normal, place, ImageOrientationPatient=directions)
    stored = Dicom().open(tmp_path / "s")
    header, volume = stored.header, stored.array()
    assert header.orientation == letters
    affine = np.array(header.affine)
    assert np.array_equal(np.abs(affine[:, :3]).argmax(axis=0), [2, 1, 0]) and (affine[[2, 1, 0], [0, 1, 2]] > 0).all()
    along, down = np.array(directions[:3]) * 0.9, np.array(directions[3:]) * 0.7
    for place, row, column in ((0, 0, 0), (8, 9, 11), (3, 4, 5)):
        at = 4.0 * place * normal + row * down + column * along  # in LPS mm
        index = np.rint(np.linalg.solve(affine[:, :3], at - affine[:, 3])).astype(int)
        assert volume[index[0], 0, index[1], index[2]] == CODES[place, row, column]
    assert np.array_equal(stored.read({"z": 2}), volume[2])


REFUSED = [
    ("a slice is missing", lambda files: files[3].unlink(),
     "1 slice missing between 6.0 and 12.0 mm: gaps of 3 to 6 mm"),
    ("a slice is there twice",
     lambda files: slice_file(files[0].with_name("x"), CODES[0], (-30, -20, 6), 4, EchoTime=9),
     "lie at one place, 6 mm; EchoTime differs: (None and 9.0|9.0 and None)"),
    ("an orientation", lambda files: slice_file(files[2], CODES[0], (-30, -20, 6), 4,
                                                ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "different orientations"),
    ("a spacing", lambda files: slice_file(files[2], CODES[0], (-30, -20, 6), 4, PixelSpacing=[1, 1]),
     "different pixel spacings"),
    ("a size", lambda files: slice_file(files[2], CODES[0, :5], (-30, -20, 6), 4), "of different kinds: .*10x12.*5x12"),
    ("a series", lambda files: slice_file(files[2], CODES[0], (-30, -20, 6), 4, SeriesInstanceUID="1.2.3"),
     "holds 2 series: 1.2.3 .1 files., " + SERIES),
    ("no position", lambda files: slice_file(files[2], CODES[0], (0, 0, 0), 4, ImagePositionPatient=None),
     "does not say where it lies"),
    ("no direction", lambda files: slice_file(files[2], CODES[0], (0, 0, 0), 4, ImageOrientationPatient=[0] * 6),
     "different orientations"),
    ("a table", lambda files: slice_file(files[2], CODES[0], (0, 0, 0), 4, ModalityLUTSequence=[]), "Modality LUT"),
    ("truncated", lambda files: files[2].write_bytes(files[2].read_bytes()[:-9]), "is truncated: 231 bytes"),
    ("a far place", lambda files: slice_file(files[8], CODES[0], (-30, -20, 22), 4), "slices are uneven between 21"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_folder_that_is_no_volume_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    change(nine(tmp_path / "s", CODES))
    with pytest.raises(BadImage, match=said):
        Dicom().open(tmp_path / "s")


def test_slices_with_slopes_of_their_own_give_quantities(tmp_path: Path) -> None:
    files = nine(tmp_path / "s", CODES, RescaleSlope=0.1, PixelPaddingValue=7)
    slice_file(files[4], CODES[4], (-30, -20, 12), 5, RescaleSlope=0.3, RescaleIntercept=-2)
    stored = Dicom().open(tmp_path / "s")
    assert (stored.header.dtype, stored.header.slope, stored.header.nodata) == ("float64", (1.0,), ())
    assert np.array_equal(stored.read({"z": 4})[0], CODES[4] * 0.3 - 2)
    expected = np.where(CODES[3] == 7, np.nan, CODES[3] * 0.1)
    assert np.array_equal(stored.array()[3, 0], expected, equal_nan=True)
    assert "slopes or padding of their own" in stored.header.notes[0]


def test_bits_that_are_not_used_and_padding(tmp_path: Path) -> None:
    codes = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    dirty = ((codes & 0x0FFF) | 0x5000).astype(np.int16)
    tags = {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1998}
    stored = Dicom().open(slice_file(tmp_path / "a", dirty, (0, 0, 0), 1, **tags))
    assert np.array_equal(stored.array()[0], codes)
    assert stored.header.nodata == (-2000, -1999, -1998) and stored.header.axes == ()
    high = Dicom().open(slice_file(tmp_path / "b", codes << 4, (0, 0, 0), 1, BitsStored=12, HighBit=15))
    assert np.array_equal(high.array()[0], codes)


def test_gantry_tilt_is_noted_and_kept(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for place, plane in enumerate(CODES):
        slice_file(tmp_path / f"s/{place}", plane, (0, 0.8 * place, 3 * place), place)
    header = Dicom().open(tmp_path / "s").header
    assert header.notes == ("slices are shifted by 14.9 degrees (gantry tilt): no box",)
    assert header.affine and [row[0] for row in header.affine] == [0, 0.8, 3]


def test_gaps_that_differ_a_little_are_noted(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for place, plane in enumerate(CODES):
        slice_file(tmp_path / f"s/{place}", plane, (0, 0, round(0.625 * place, 1)), place)
    header = Dicom().open(tmp_path / "s").header
    assert header.notes == ("its slices have gaps of 0.6 to 0.7 mm; their mean is taken",)
    assert header.spacing == pytest.approx((0.625, 0.7, 0.9))


def test_files_without_preamble_are_read_if_they_hold_a_picture(tmp_path: Path) -> None:
    whole = shipped("pydicom", TESTS + "MR_small_implicit.dcm").read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")  # behind the preamble and group 0002
    (tmp_path / "bare").write_bytes(whole[start:])
    assert Dicom().sniff(whole[start:][:512], tmp_path / "bare")
    assert np.array_equal(Dicom().open(tmp_path / "bare").array(), opened("MR_small.dcm").array())
    assert not Dicom().sniff(b"II*\0" + bytes(508), tmp_path / "x.dcm")


def test_damage_behind_the_header_and_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = shipped("pydicom", TESTS + "MR_small_RLE.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(encoded[:-3000])
    with pytest.raises(BadImage, match=r"cut\.dcm: has no pixels, or ends before them"):
        Dicom().open(tmp_path / "cut.dcm")
    (tmp_path / "dirty.dcm").write_bytes(encoded[:-3000] + bytes(2900) + encoded[-100:])
    with pytest.raises(BadImage, match=r"dirty\.dcm"):
        Dicom().open(tmp_path / "dirty.dcm").array()
    deflated = shipped("pydicom", TESTS + "image_dfl.dcm").read_bytes()
    start = 144 + int.from_bytes(deflated[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(2**23)) + packer.flush()
    (tmp_path / "bomb.dcm").write_bytes(deflated[:start] + bomb)
    monkeypatch.setattr("i2i_forge_plugins.medical_files.dicom_dataset.LARGEST_DEFLATED", 2**20)
    with pytest.raises(BadImage, match="is deflated, and holds more than 1,048,576 bytes"):
        Dicom().open(tmp_path / "bomb.dcm")
    many = slice_file(tmp_path / "many.dcm", CODES[0], (0, 0, 0), 1, NumberOfFrames=2**30)
    with pytest.raises(BadImage, match=r"values, more than"):
        Dicom().open(many)


def test_a_picture_is_turned_in_its_plane_if_that_is_axial(tmp_path: Path) -> None:
    prone = slice_file(tmp_path / "a", CODES[0], (0, 0, 0), 1, ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    assert np.array_equal(Dicom().open(prone).array()[0], CODES[0, ::-1, ::-1])
    sagittal = slice_file(tmp_path / "b", CODES[0], (0, 0, 0), 1, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    stored = Dicom().open(sagittal)
    assert np.array_equal(stored.array()[0], CODES[0]) and stored.header.orientation == "PIR"
    assert np.array_equal(stored.read({}), stored.array())


def test_directions_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="do not span a volume"):
        Dicom().open(slice_file(tmp_path / "a", CODES[0], (0, 0, 0), 1, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]))


def test_what_is_missing_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Dicom().open(tmp_path / "missing.dcm")
