"""DICOM files and series that are written like others: what SimpleITK and pydicom find in them."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from series import nine, slice_file  # noqa: E402
from shipped import shipped  # noqa: E402

from i2i_forge.data import Codes, Header  # noqa: E402
from i2i_forge.errors import DataError  # noqa: E402
from i2i_forge_plugins.medical_files.dicom import Dicom, StoredDicom  # noqa: E402

CODES = np.random.default_rng(0).integers(0, 2048, (9, 10, 12)).astype(np.int16)
KEPT = ("StudyInstanceUID", "PatientID", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
        "PixelSpacing", "SliceThickness", "InstanceNumber", "Modality")  # fmt: skip


def as_int16(stored: StoredDicom) -> tuple[Codes, Header]:
    """The quantities of a file as HU of int16."""
    header = stored.header
    values = np.rint(stored.array() * header.slope[0] + header.offset[0]).astype(np.int16)
    return values, replace(header, dtype="int16", slope=(1.0,), offset=(0.0,), nodata=())


def of_sitk(folder: Path) -> Any:
    sitk = pytest.importorskip("SimpleITK")
    return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))


def test_a_series_comes_back_where_it_was(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    nine(tmp_path / "in", CODES & 2047, RescaleSlope=2, RescaleIntercept=-1024, BitsStored=12, HighBit=11)
    stored = Dicom().open(tmp_path / "in")
    codes, header = as_int16(stored)
    Dicom().write(tmp_path / "out", codes, header, stored)
    before, after = of_sitk(tmp_path / "in"), of_sitk(tmp_path / "out")
    for name in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        assert getattr(before, name)() == getattr(after, name)(), name
    assert np.abs(sitk.GetArrayFromImage(before) - sitk.GetArrayFromImage(after)).max() <= 0.5
    again = Dicom().open(tmp_path / "out")
    assert np.array_equal(again.array(), codes) and again.header.grid == header.grid
    assert (again.header.slope, again.header.offset, again.header.unit) == ((1.0,), (0.0,), "HU")


@pytest.mark.parametrize("directions", [[0, 1, 0, 0, 0, -1], [-1, 0, 0, 0, -1, 0]])
def test_a_turned_series_is_turned_back(tmp_path: Path, directions: list[int]) -> None:
    normal = np.cross(directions[:3], directions[3:])
    (tmp_path / "in").mkdir()
    for place, plane in enumerate(CODES):
        slice_file(tmp_path / f"in/{place}", plane, 3.0 * place * normal, place, ImageOrientationPatient=directions)
    stored = Dicom().open(tmp_path / "in")
    Dicom().write(tmp_path / "out", *as_int16(stored), stored)
    for place, plane in enumerate(CODES, 1):
        assert np.array_equal(pydicom.dcmread(tmp_path / f"out/{place:04}.dcm").pixel_array, plane)


def test_tags_are_those_of_a_derived_image(tmp_path: Path) -> None:
    files = nine(tmp_path / "in", CODES, SmallestImagePixelValue=0, PixelPaddingValue=-5)
    for file in files:
        found = pydicom.dcmread(file)
        found.private_block(0x0009, "SOMEONE", create=True).add_new(1, "LO", "secret")
        found.add_new(0x60003000, "OW", b"\1\0")
        found.save_as(file)
    stored = Dicom().open(tmp_path / "in")
    codes, header = as_int16(stored)
    Dicom().write(tmp_path / "out", codes, header, stored)
    Dicom().write(tmp_path / "same", codes, header, stored)
    Dicom().write(tmp_path / "other", codes + 1, header, stored)
    uids = set()
    for place, file in enumerate(files, 1):
        name = f"{place:04}.dcm"
        before, after, other = (
            pydicom.dcmread(each) for each in (file, tmp_path / "out" / name, tmp_path / "other" / name)
        )
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "same" / name).read_bytes()
        assert all(before[tag] == after[tag] for tag in KEPT)
        assert after.ImageType == ["DERIVED", "SECONDARY"] and after.SeriesDescription == "synthetic by i2i_forge"
        dropped = ("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "PixelPaddingValue")
        assert not any(tag in after for tag in dropped)
        assert not any(tag.is_private or tag.group == 0x6000 for tag in (each.tag for each in after))
        assert after["PixelData"].VR == "OW" and (after.BitsStored, after.PixelRepresentation) == (16, 1)
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        assert len({each.SeriesInstanceUID for each in (before, after, other)}) == 3
        uids |= {after.SOPInstanceUID, other.SOPInstanceUID, before.SOPInstanceUID, after.SeriesInstanceUID}
    assert len(uids) == 3 * 9 + 1


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "examples_overlay.dcm", "693_J2KI.dcm",
     "dicomdirtests/77654033/CR3/6278"],
)  # fmt: skip
def test_files_of_others_are_written_like(tmp_path: Path, name: str) -> None:
    source = shipped("pydicom", f"data/test_files/{name}")
    stored = Dicom().open(source)
    codes, header = stored.array(), stored.header
    Dicom().write(tmp_path / "a.dcm", codes, header, stored)
    again = Dicom().open(tmp_path / "a.dcm")
    assert np.array_equal(again.array(), codes)
    for field in ("slope", "offset", "affine", "spacing", "unit", "polarity", "grid", "nodata"):
        assert getattr(again.header, field) == getattr(header, field), field


def test_an_enhanced_object_is_written_with_its_frames(tmp_path: Path) -> None:
    source = shipped("nibabel", "nicom/tests/data/philips_mprage.dcm.gz")
    (tmp_path / "a.dcm").write_bytes(gzip.decompress(source.read_bytes()))
    stored = Dicom().open(tmp_path / "a.dcm")
    codes = np.random.default_rng(2).integers(-1024, 3071, stored.header.shape, np.int16)
    header = replace(stored.header, dtype="int16", slope=(0.5,), offset=(-3.0,), nodata=(-2000, -1999))
    Dicom().write(tmp_path / "b.dcm", codes, header, stored)
    again = Dicom().open(tmp_path / "b.dcm")
    assert np.array_equal(again.array(), codes) and np.array_equal(again.read({"z": 9}), codes[9])
    for field in ("slope", "offset", "affine", "spacing", "grid", "nodata"):
        assert getattr(again.header, field) == getattr(header, field), field


def test_eight_bits_of_an_odd_count(tmp_path: Path) -> None:
    codes = np.arange(15, dtype=np.uint8).reshape(3, 5)
    stored = Dicom().open(slice_file(tmp_path / "a", codes, (0, 0, 0), 1))
    Dicom().write(tmp_path / "b", stored.array(), stored.header, stored)
    assert np.array_equal(Dicom().open(tmp_path / "b").array()[0], codes)
    assert np.array_equal(pydicom.dcmread(tmp_path / "b").pixel_array, codes)


def test_what_cannot_be_written_says_what_can(tmp_path: Path) -> None:
    nine(tmp_path / "in", CODES)
    stored = Dicom().open(tmp_path / "in")
    codes, header = as_int16(stored)
    dose = Dicom().open(shipped("pydicom", "data/test_files/rtdose.dcm"))

    def refused(said: str, codes: Codes, like: StoredDicom | None, **change: Any) -> None:
        with pytest.raises(DataError, match=said) as raised:
            Dicom().write(tmp_path / "out", codes, replace(header, **change), like)
        assert "write" in str(raised.value.fix)

    refused("written like others alone", codes, None)
    refused("not float32", codes.astype(np.float32), stored, dtype="float32")
    refused("holds one channel", codes.repeat(2, 1), stored, channels=("a", "b"))
    refused("cannot lie where", codes[1:], stored, axes=(("z", 8),))
    refused("RT Dose Storage, which is not written", dose.array().astype(np.int16), dose, axes=dose.header.axes,
            rows=10, columns=10)  # fmt: skip
    liver = Dicom().open(shipped("pydicom", "data/test_files/liver_1frame.dcm"))
    refused("Segmentation Storage, which is not written", liver.array().astype(np.int16), liver, axes=(),
            rows=512, columns=512)  # fmt: skip
