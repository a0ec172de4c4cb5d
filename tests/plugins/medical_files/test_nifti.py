"""NIfTI files as they are stored: every trap, and files of others against nibabel."""

import gzip
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")

from shipped import shipped  # noqa: E402

from i2i_forge.data import BadImage, Codes, Header, Stored  # noqa: E402
from i2i_forge.errors import DataError  # noqa: E402
from i2i_forge_plugins.medical_files.nifti import Nifti  # noqa: E402

CODES = np.random.default_rng(0).integers(0, 2048, (8, 10, 12)).astype(np.int16)  # S, P, L
CODES[0, 0, :2] = 0, 2047
OBLIQUE = np.array([[-0.9, 0, 0, 40], [0, 0.9, 0, -30], [0, 0, -3.0, 20], [0, 0, 0, 1]])
TURN = np.array([[1, 0, 0, 0], [0, np.cos(0.21), -np.sin(0.21), 0], [0, np.sin(0.21), np.cos(0.21), 0], [0, 0, 0, 1]])


def quantity(stored: Stored) -> Any:
    """As the header says, shaped as the array."""
    return stored.array().astype(np.float64) * stored.header.slope[0] + stored.header.offset[0]


def made(path: Path, codes: Codes, affine: Any = None, scale: tuple[float, float] = (1, 0), **fields: Any) -> Path:
    """A file of codes i,j,k,... as they are, by nibabel's header alone."""
    header = nibabel.Nifti1Header(endianness=">" if codes.dtype.byteorder == ">" else "<")
    header.set_data_dtype(codes.dtype)
    header.set_data_shape(codes.shape)
    header["scl_slope"], header["scl_inter"] = scale
    if affine is not None:
        header.set_qform(affine, 1)
        header.set_sform(affine, 1)
    for name, value in fields.items():
        header[name] = value
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        header.write_to(file)
        file.write(codes.tobytes("F"))
    return path


REAL = [  # package, file, shape, dtype, least, greatest, mean, letters
    ("nibabel", "tests/data/anatomical.nii", (25, 1, 41, 33), "int16", -610, 30393, 8401.066726, "LAS"),
    ("nibabel", "tests/data/functional.nii", (20, 3, 1, 21, 17), "int16", 629.826, 5571.62, 3637.408514, "LAS"),
    ("nibabel", "tests/data/reoriented_anat_moved.nii", (22, 1, 26, 21), "float32", 0, 21199.9, 2725.588532, "RAS"),
    ("nibabel", "tests/data/resampled_anat_moved.nii", (3, 1, 21, 17), "float32",
     409.300446, 13360.961914, 8442.219, "LAS"),
    ("nibabel", "tests/data/standard.nii.gz", (7, 1, 5, 4), "uint8", 0, 255, 54.642857, "RAS"),
    ("nibabel", "tests/data/example4d.nii.gz", (2, 24, 1, 96, 128), "int16", 0, 1162, 172.908115, "LAS"),
    ("nibabel", "tests/data/example_nifti2.nii.gz", (2, 12, 1, 20, 32), "int16", 46, 757, 450.963672, "LAS"),
    ("dipy", "data/files/aniso_vox.nii.gz", (24, 1, 58, 58), "int16", 0, 2149, 96.156361, "LPS"),
    ("dipy", "data/files/small_64D.nii", (65, 10, 1, 10, 10), "int16", 0, 1675, 91.800415, "PLS"),
    ("dipy", "data/files/S0_10slices.nii.gz", (10, 1, 128, 128), "uint16", 0, 4095, 141.822229, "RAS"),
    ("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
     (189, 1, 233, 197), "uint8", 0, 255, 38.438930, "RAS"),
    ("nilearn", "datasets/data/image_10426.nii.gz", (46, 1, 63, 53), "float32", -7.94144, 7.94135, 0.022528, "LAS"),
]  # fmt: skip


@pytest.mark.parametrize("row", REAL, ids=lambda row: row[1].rpartition("/")[2])
def test_files_of_others_are_read_as_nibabel_reads_them(row: Any) -> None:
    package, name, shape, dtype, least, greatest, mean, letters = row
    path = shipped(package, name)
    stored = Nifti().open(path)
    header, values = stored.header, quantity(stored)
    assert (header.shape, header.dtype, header.orientation) == (shape, dtype, letters)
    found = np.array([np.nanmin(values), np.nanmax(values), np.nanmean(values)])
    np.testing.assert_allclose(found, [least, greatest, mean], rtol=1e-5 if dtype == "float32" else 2e-6)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))  # R, A, S
    volume = np.asarray(canonical.dataobj).reshape(*canonical.shape[:3], -1)[::-1, ::-1]
    assert np.array_equal(values[..., 0, :, :].reshape(-1, *shape[-4:-3], *shape[-2:]), volume.T, equal_nan=True)
    to_ras = np.diag([-1.0, -1.0, 1.0]) @ np.array(header.affine)[:, [2, 1, 0, 3]]
    ends = np.array([[0, 0, 0, 1], [volume.shape[0] - 1, volume.shape[1] - 1, volume.shape[2] - 1, 1]]).T
    flipped = ends.copy()
    flipped[:2] = np.array(volume.shape[:2])[:, None] - 1 - ends[:2]
    np.testing.assert_allclose(to_ras @ ends, (canonical.affine @ flipped)[:3], atol=1e-4)
    at = {axis: length // 2 for axis, length in header.axes}
    plane = stored.array()[tuple(at.values())]
    assert np.array_equal(pickle.loads(pickle.dumps(stored)).read(at, slice(1, 4), slice(2, 3)), plane[:, 1:4, 2:3],
                          equal_nan=plane.dtype.kind == "f")  # fmt: skip


def test_canonical_slices_of_two_files() -> None:
    anatomical = Nifti().open(shipped("nibabel", "tests/data/anatomical.nii")).array()[:, 0]
    assert anatomical[12, 20, 16] == 11881 and abs(anatomical[12].mean() - 8540.669623) < 1e-6
    moved = Nifti().open(shipped("nibabel", "tests/data/reoriented_anat_moved.nii")).array()[:, 0]
    assert abs(moved[11, 13, 10] - 9763.2470703) < 1e-6
    functional = Nifti().open(shipped("nibabel", "tests/data/functional.nii"))
    assert abs(quantity(functional)[0].mean() - 3626.2806) < 1e-4


def test_an_oblique_big_endian_file_with_a_slope(tmp_path: Path) -> None:
    path = made(tmp_path / "ct_be.nii", CODES.T.astype(">i2"), TURN @ OBLIQUE, (2.0, -1024.0))
    stored = Nifti().open(path)
    values = quantity(stored)
    assert (values.min(), values.max()) == (-1024, 3070)
    assert stored.header.orientation == "LAI" and not stored.header.is_raw
    assert np.array_equal(values[:, 0], nibabel.load(path).get_fdata().T[::-1, ::-1])


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_nothing_is_none(tmp_path: Path, slope: float) -> None:
    header = Nifti().open(made(tmp_path / "a.nii", CODES.T, np.eye(4), (slope, 5.0))).header
    assert (header.slope, header.offset) == ((1.0,), (0.0,))


@pytest.mark.parametrize("letters", ["RAS", "LAS", "PIR", "LPS", "SAL", "AIL"])
def test_six_orientations_of_a_subject_have_equal_planes(tmp_path: Path, letters: str) -> None:
    lps = nibabel.Nifti1Image(np.ascontiguousarray(CODES.T), np.diag([-2.0, -2.0, 5.0, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(lps.affine), nibabel.orientations.axcodes2ornt(tuple(letters))
    )
    turned = lps.as_reoriented(turn)
    path = made(tmp_path / "a.nii", np.asarray(turned.dataobj), turned.affine)
    stored = Nifti().open(path)
    header = stored.header
    assert header.orientation == letters and header.is_raw and header.spacing == (5, 2, 2)
    assert (header.rows, header.columns, header.axes) == (10, 12, (("z", 8),))
    assert header.grid == Nifti().open(made(tmp_path / "lps.nii", CODES.T, lps.affine)).header.grid
    assert isinstance(stored.array(), np.memmap)
    assert stored.array()[:, 0].tobytes() == CODES.tobytes()
    assert stored.read({"z": 3})[0].tobytes() == CODES[3].tobytes()
    Nifti().write(tmp_path / "b.nii", stored.array(), header, stored)
    assert (tmp_path / "b.nii").read_bytes()[352:] == path.read_bytes()[352:]
    Nifti().write(tmp_path / "c.nii", stored.array(), header, None)
    again = Nifti().open(tmp_path / "c.nii")
    assert again.header.affine == header.affine and np.array_equal(again.array(), stored.array())


def test_forms_that_differ_and_forms_that_say_nothing(tmp_path: Path) -> None:
    path = made(tmp_path / "a.nii", CODES.T, np.diag([-2.0, -2.0, 5.0, 1.0]), sform_code=2, srow_x=(-2, 0, 0, 7))
    header = Nifti().open(path).header
    assert header.notes == ("its qform differs from its sform, which counts",)
    assert header.affine and header.affine[0] == (0, 0, 2, -7 + 0.0)
    header = Nifti().open(made(tmp_path / "b.nii", CODES.T, pixdim=(1, 2, 3, 4, 1, 1, 1, 1))).header
    assert (header.orientation, header.affine, header.spacing) == ("", None, (4, 3, 2)) and "code 0" in header.notes[0]
    stored = Nifti().open(tmp_path / "b.nii")
    assert np.array_equal(stored.array()[:, 0], CODES)
    Nifti().write(tmp_path / "c.nii", stored.array(), header, None)
    assert Nifti().open(tmp_path / "c.nii").header == stored.header


def test_axes_of_time_and_of_length_one(tmp_path: Path) -> None:
    codes = np.arange(64 * 6 * 10 * 2, dtype=np.uint16).reshape(64, 6, 10, 2)
    stored = Nifti().open(made(tmp_path / "a.nii", codes, np.diag([-1.0, -1, 1, 1])))
    assert stored.header.axes == (("t", 2), ("z", 10))
    assert np.array_equal(stored.read({"t": 1, "z": 4})[0], codes[..., 4, 1].T)
    assert Nifti().open(made(tmp_path / "b.nii", codes[..., 0, 0], np.eye(4))).header.axes == (("z", 1),)
    with pytest.raises(BadImage, match="64x6x1x1x5 values: more axes"):
        Nifti().open(made(tmp_path / "c.nii", codes[:, :, :5, :1].transpose(0, 1, 3, 2)[..., None, :], np.eye(4)))


@pytest.mark.parametrize("angle", [44.0, 45.0, 45.0 + 1e-9, 46.0])
def test_an_oblique_axis_follows_the_nearest_one(tmp_path: Path, angle: float) -> None:
    a = np.deg2rad(angle)
    turn = np.array([[-np.cos(a), np.sin(a), 0, 0], [-np.sin(a), -np.cos(a), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    header = Nifti().open(made(tmp_path / "a.nii", CODES.T, turn)).header
    assert (header.rows, header.columns) == ((10, 12) if angle < 45.5 else (12, 10))


def test_colours_and_numbers_that_are_none(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (12, 10, 8, 3)).astype(np.uint8)
    colour = np.ascontiguousarray(rgb).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    stored = Nifti().open(made(tmp_path / "a.nii", colour, np.diag([-1.0, -1, 1, 1])))
    assert (stored.header.pixels, stored.header.channels) == ("colour", ("R", "G", "B"))
    assert np.array_equal(stored.array(), rgb.transpose(2, 3, 1, 0)) and stored.header.is_raw
    with pytest.raises(BadImage, match="complex64"):
        Nifti().open(made(tmp_path / "b.nii", CODES.T.astype(np.complex64), np.eye(4)))
    with pytest.raises(DataError, match="NIfTI holds one channel"):
        Nifti().write(tmp_path / "c.nii", stored.array(), stored.header, stored)


def test_pairs_and_names_that_do_not_say_it(tmp_path: Path) -> None:
    image = nibabel.Nifti1Pair(CODES.T, np.diag([-2.0, -2, 5, 1]))
    image.to_filename(tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        head = (tmp_path / name).read_bytes()[:512]
        stored = Nifti().open(tmp_path / name)
        assert Nifti().sniff(head, tmp_path / name) and np.array_equal(stored.array()[:, 0], CODES)
        Nifti().write(tmp_path / f"{name}.nii", stored.array(), stored.header, stored)
        assert np.array_equal(nibabel.load(tmp_path / f"{name}.nii").dataobj, CODES.T)
    single = made(tmp_path / "b.nii.gz", CODES.T, np.eye(4))
    odd = single.rename(tmp_path / "odd.img")
    assert Nifti().sniff(odd.read_bytes()[:512], odd)
    assert np.array_equal(Nifti().open(odd).array()[::1, 0], CODES[:, ::-1, ::-1])
    assert not Nifti().sniff(b"II*\0" + bytes(508), tmp_path / "x.nii")
    (tmp_path / "x.nii").write_bytes(b"II*\0" + bytes(508))
    with pytest.raises(BadImage, match="no header of NIfTI"):
        Nifti().open(tmp_path / "x.nii")


def test_mgh_volumes_are_read() -> None:
    path = shipped("nibabel", "tests/data/test.mgz")
    stored = Nifti().open(path)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))
    assert np.array_equal(stored.array()[:, :, 0], np.asarray(canonical.dataobj)[::-1, ::-1].T)


def test_members_damage_and_bombs(tmp_path: Path) -> None:
    raw = made(tmp_path / "a.nii", CODES.T, np.diag([-1.0, -1, 1, 1])).read_bytes()

    def stored(name: str, content: bytes) -> Stored:
        (tmp_path / name).write_bytes(content)
        return Nifti().open(tmp_path / name)

    members = gzip.compress(raw[:900]) + gzip.compress(raw[900:])
    assert np.array_equal(stored("b.nii.gz", members).array()[:, 0], CODES)
    assert np.array_equal(stored("gz.nii", members).array()[:, 0], CODES)
    with pytest.raises(BadImage, match=r"a\.nii: is truncated: 1,720 bytes of values, its header says 1,920"):
        stored("a.nii", raw[:-200])
    for name, content in {
        "c.nii.gz": gzip.compress(raw)[:-200],
        "d.nii.gz": gzip.compress(raw[:-200]),
        "e.nii.gz": gzip.compress(raw)[:-8] + bytes(8),
        "f.nii.gz": gzip.compress(raw) + b"x",
    }.items():
        with pytest.raises(BadImage, match=name):
            stored(name, content).array()
    bomb = stored("g.nii.gz", gzip.compress(raw + bytes(2**26)))
    tracemalloc.start()
    with pytest.raises(BadImage, match="holds more than the 1,920 bytes"):
        bomb.array()
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    for side in (2000, -3):
        header = nibabel.Nifti1Header(raw[:348])
        header["dim"][1:4] = side
        with pytest.raises(BadImage, match=r"h\.nii\.gz"):
            stored("h.nii.gz", gzip.compress(header.binaryblock + raw[348:]))
    with pytest.raises(BadImage, match="its three axes do not span a volume"):
        Nifti().open(made(tmp_path / "flat.nii", CODES.T, np.eye(4), srow_x=(0, 1, 0, 0)))
    with pytest.raises(BadImage, match="begin at byte"):
        header["dim"][1:4], header["vox_offset"] = 2, 1e9
        stored("i.nii.gz", gzip.compress(header.binaryblock + raw[348:]))


SEVEN = ("anatomical", "functional", "reoriented", "resampled", "standard", "aniso_vox", "mni_icbm152_t1")
IDENTITIES = [row[:2] for row in REAL if row[1].rpartition("/")[2].startswith(SEVEN)]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("row", IDENTITIES, ids=lambda row: row[1].rpartition("/")[2])
def test_geometry_is_written_bit_for_bit(tmp_path: Path, row: tuple[str, str], ending: str) -> None:
    source = shipped(*row)
    stored = Nifti().open(source)
    codes, header = stored.array(), stored.header
    if header.axes[0][0] == "t":
        codes, header = codes[0], replace(header, axes=header.axes[1:])
    Nifti().write(tmp_path / f".a{ending}.part", codes, header, stored)
    path = (tmp_path / f".a{ending}.part").rename(tmp_path / f"a{ending}")
    before, after = nibabel.load(source), nibabel.load(path)
    assert before.affine.tobytes() == after.affine.tobytes()
    for name in ("qform_code", "sform_code", "pixdim", "quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z"):
        assert before.header[name].tobytes() == after.header[name].tobytes(), name
    assert before.header.get_zooms()[:3] == after.header.get_zooms()[:3]
    again = Nifti().open(path)
    assert np.array_equal(again.array(), codes, equal_nan=codes.dtype.kind == "f")
    assert (again.header.slope, again.header.offset, again.header.affine) == (
        header.slope,
        header.offset,
        header.affine,
    )


def test_what_describes_the_values_of_another_file_is_reset(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(CODES.T, np.diag([-2.0, -2, 5, 1]))
    image.header["cal_max"], image.header["glmax"], image.header["descrip"] = 99, 3, b"a brain"
    image.header.set_intent("z score")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"kept\xff\xfe"))
    image.to_filename(tmp_path / "a.nii")
    stored = Nifti().open(tmp_path / "a.nii")
    header = replace(stored.header, dtype="float32", slope=(0.5,), offset=(-3.0,))
    codes = stored.array().astype(np.float32)
    Nifti().write(tmp_path / "b.nii.gz", codes, header, stored)
    after = nibabel.load(tmp_path / "b.nii.gz")
    fields = {name: after.header[name].item() for name in ("cal_max", "glmax", "descrip", "intent_code")}
    assert fields == {"cal_max": 0, "glmax": 0, "descrip": b"i2i_forge", "intent_code": 0}
    assert after.header.extensions[0].get_content() == b"kept\xff\xfe"
    assert np.array_equal(after.get_fdata(), CODES.T * 0.5 - 3)
    Nifti().write(tmp_path / "c.nii.gz", codes, header, stored)
    assert (tmp_path / "b.nii.gz").read_bytes() == (tmp_path / "c.nii.gz").read_bytes()


def test_what_cannot_be_written_says_what_can(tmp_path: Path) -> None:
    stored = Nifti().open(made(tmp_path / "a.nii", CODES.T, np.eye(4)))
    header, codes = stored.header, stored.array()
    for name, change, values, said in (
        ("b.nii", {"dtype": "float16"}, codes.astype(np.float16), "holds no float16"),
        ("b.mgz", {}, codes, "only read"),
        ("b.nii", {"axes": (("pages", 8),)}, codes, "not pages"),
        ("b.nii", {"axes": (("z", 7),)}, codes[1:], "cannot lie where"),
    ):
        with pytest.raises(DataError, match=said) as raised:
            Nifti().write(tmp_path / name, values, replace(header, **change), stored)
        assert raised.value.fix
    wide = np.zeros((1, 1, 1, 2**15), np.uint8)
    Nifti().write(tmp_path / "wide.nii", wide, Header(1, 2**15, axes=(("z", 1),)), None)
    assert np.array_equal(Nifti().open(tmp_path / "wide.nii").array(), wide)
