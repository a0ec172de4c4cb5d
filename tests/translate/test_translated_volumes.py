"""Volumes and series translated by the identity come back as they were: codes, geometry, values that are none."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from doubles import Double, Identity

WIDE = {"range": [-32768, 32767]}


def shipped(package, name):
    """A file that lies in a package's wheel; the test is skipped by name where it is missing."""
    spec = importlib.util.find_spec(package)
    found = sorted(Path(spec.submodule_search_locations[0]).rglob(name)) if spec else []
    if not found:
        pytest.skip(f"needs {name} of the package {package}")
    return found[0]


def described(range_, **more):
    """Two domains of the same numbers."""
    return {"a": {"range": range_, **more}, "b": {"range": range_, **more}}


@pytest.mark.parametrize(
    ("package", "name", "range_", "write", "axes"),
    [
        ("nibabel", "anatomical.nii", [-1000, 31767], {"dtype": "int16"}, {}),
        ("nibabel", "functional.nii", [0, 6000], {"dtype": "int16", "slope": None}, {"t": 0}),
        ("nibabel", "reoriented_anat_moved.nii", [0, 32767], {"dtype": "float32"}, {}),
        ("nibabel", "resampled_anat_moved.nii", [0, 32767], {"dtype": "float32"}, {}),
        ("nibabel", "standard.nii.gz", [0, 255], {"dtype": "uint8"}, {}),
        ("dipy", "aniso_vox.nii.gz", [0, 4095], {"dtype": "int16"}, {}),
        ("nilearn", "mni_icbm152_t1_*.nii.gz", [0, 255], {"dtype": "uint8"}, {}),
    ],
)
def test_real_nifti_files_come_back(tmp_path, package, name, range_, write, axes):
    """Bar 5: geometry bit for bit, integer codes equal, floats within the span times 2 ** -24."""
    nibabel = pytest.importorskip("nibabel")
    path = shipped(package, name)
    before = nibabel.load(path)
    stored = before.dataobj.slope, before.dataobj.inter
    if "slope" in write:
        write = {**write, "slope": float(stored[0]), "offset": float(stored[1])}
    run = Double(described(range_, axes=axes, write=write), slices={"plane": "axial"})
    [file] = run(path, tmp_path)
    after = nibabel.load(file)
    assert file.name == path.name and after.get_data_dtype().newbyteorder("=") == write["dtype"]
    assert np.array_equal(after.affine, before.affine)
    for form in ("get_qform", "get_sform"):
        (one, code), (other, same) = (getattr(image, form)(coded=True) for image in (before, after))
        assert code == same and (one is other is None or np.array_equal(one, other))
    zooms = before.header.get_zooms()[:3]
    assert after.header.get_zooms()[:3] == zooms
    codes, made = np.asarray(before.dataobj.get_unscaled()), np.asarray(after.dataobj.get_unscaled())
    codes = codes[..., 0] if axes else codes
    made = made.reshape(codes.shape)
    if made.dtype.kind != "f":
        assert np.array_equal(codes, made)
        return
    assert np.isnan(made).sum() == np.isnan(codes).sum() == (153 if "resampled" in name else 0)
    assert np.nanmax(np.abs(made.astype(float) - codes)) <= (range_[1] - range_[0]) * 2.0**-24


def nifti(path, array, affine=None):
    """An array of x,y,z (or x,y,z,t) as NIfTI by nibabel."""
    nibabel = pytest.importorskip("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2, 2, 5, 1.0]) if affine is None else affine), path)
    return path


def values(path):
    """x,y,z of a NIfTI file."""
    nibabel = pytest.importorskip("nibabel")
    return np.asarray(nibabel.load(path).dataobj)


def volume(shape=(9, 8, 5), dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(dtype)


@pytest.mark.parametrize("letters", ["RAS", "LAS", "PIR", "LPS", "SAL", "AIL"])
def test_orientations_of_one_subject_give_one_translation(tmp_path, letters):
    """Bar 4, of a translation that is no identity: it names the slice that it was made of."""
    nibabel = pytest.importorskip("nibabel")
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    plain = nibabel.Nifti1Image(volume(), np.diag([2, 2, 5, 1.0]))
    turned = plain.as_reoriented(ornt_transform(io_orientation(plain.affine), axcodes2ornt(letters)))
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    [file] = Double(described([-1024, 1024], write={"dtype": "int16"}))(tmp_path / "turned.nii.gz", tmp_path / "out")
    found = nibabel.load(file)
    assert np.array_equal(found.affine, turned.affine)
    assert np.array_equal(np.asarray(nibabel.as_closest_canonical(found).dataobj), volume())


@pytest.mark.parametrize(
    ("trained", "asked"), [("coronal", None), ("axial", "sagittal"), ("axial", "1"), ("axial", None)]
)
def test_planes(tmp_path, trained, asked):
    import json

    nifti(tmp_path / "x.nii.gz", volume())
    run = Double(described([-1024, 1024], write={"dtype": "int16"}), slices={"plane": trained})
    [file] = run(tmp_path / "x.nii.gz", tmp_path / "out", plane=asked)
    assert np.array_equal(values(file), volume())
    record = json.loads((tmp_path / "out/translation.json").read_text())
    assert record["plane"] == (asked or trained) and ("deviation" in record) == (asked is not None)


def test_of_neighbouring_slices_the_one_itself_is_written(tmp_path):
    nifti(tmp_path / "x.nii.gz", volume())
    run = Double(described([-1024, 1024], neighbours=2, write={"dtype": "int16"}))
    assert np.array_equal(values(run(tmp_path / "x.nii.gz", tmp_path / "out")[0]), volume())


def test_several_channels_are_a_nifti_file_each_and_a_stack_is_one_case(tmp_path):
    for case in ("p1", "p2"):
        for number, channel in enumerate(("T1", "T2")):
            nifti(tmp_path / f"in/{case}/{channel}.nii.gz", volume(seed=number))
    channels = [{"name": "T1", "range": [-1024, 1024]}, {"name": "T2", "range": [-2048, 2048]}]
    run = Double(
        {name: {"kind": "measure", "channels": channels, "write": {"dtype": "int16"}} for name in "ab"},
        files={"a": ["{case}/T1.nii.gz", "{case}/T2.nii.gz"], "b": "{case}/{case}.nii.gz"},
    )
    files = run(tmp_path / "in", tmp_path / "out")
    assert [file.name for file in files] == [f"p{n}_{c}.nii.gz" for n in (1, 2) for c in ("T1", "T2")]
    assert all(np.array_equal(values(file), volume(seed=k % 2)) for k, file in enumerate(files))
    for case in ("p1", "p2"):
        (tmp_path / f"in/{case}/T1.nii.gz").rename(tmp_path / f"in/{case}_0000.nii.gz")
        (tmp_path / f"in/{case}/T2.nii.gz").rename(tmp_path / f"in/{case}_0001.nii.gz")
    again = run(tmp_path / "in", tmp_path / "again", files={"a": ["{case}_0000.nii.gz", "{case}_0001.nii.gz"]})
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_a_dicom_series_becomes_a_series(tmp_path):
    """Bar 6: nine slices with shuffled names; SimpleITK reads both alike."""
    pydicom = pytest.importorskip("pydicom")
    sitk = pytest.importorskip("SimpleITK")
    folder = tmp_path / "series"
    folder.mkdir()
    codes = np.random.default_rng(3).integers(0, 2000, (9, 12, 10)).astype(np.int16)
    for place, name in enumerate([4, 0, 8, 2, 6, 1, 3, 7, 5]):
        write_dicom(pydicom, folder / f"IM{name}.dcm", codes[place], place)
    run = Double(described([-1024, 3071], write={"dtype": "int16"}))
    for _ in range(2):  # the second replaces the first
        [out] = run(folder, tmp_path / "out")

    def read(path):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        return reader.Execute()

    before, after = read(folder), read(out)
    assert out.name == "series" and len(list(out.iterdir())) == 9
    for what in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        assert getattr(before, what)() == getattr(after, what)()
    difference = sitk.GetArrayFromImage(before).astype(float) - sitk.GetArrayFromImage(after)
    assert np.abs(difference).max() <= 0.5


def write_dicom(pydicom, path, codes, place):
    """One slice of a CT, 3 mm above the one before, whose numbers run downwards."""
    made = pydicom.dataset.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for name, value in {
        "SOPClassUID": pydicom.uid.CTImageStorage, "SOPInstanceUID": f"1.2.3.{place + 1}", "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2.4", "FrameOfReferenceUID": "1.2.5", "PatientID": "P", "Modality": "CT",
        "InstanceNumber": 9 - place, "ImagePositionPatient": [-30.0, -20.0, 3.0 * place],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.7, 0.9], "SliceThickness": 3,
        "Rows": codes.shape[0], "Columns": codes.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "RescaleSlope": 1, "RescaleIntercept": -1024,
    }.items():  # fmt: skip
        setattr(made, name, value)
    made.add_new("PixelData", "OW", codes.tobytes())
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr"])
def test_geometry_of_other_volumes(tmp_path, ending):
    """Bar 9, as SimpleITK reads it; the direction is turned."""
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(volume((5, 8, 9)))
    image.SetSpacing((0.7, 0.9, 3.0)), image.SetOrigin((-30.5, 20.25, 7.0))
    image.SetDirection((0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    path = tmp_path / f"in/x{ending}"
    path.parent.mkdir()
    sitk.WriteImage(image, str(path))
    [file] = Double(described([-1024, 1024], write={"dtype": "int16"}))(path, tmp_path / "out")
    found = sitk.ReadImage(str(file))
    for what in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(found, what)() == getattr(image, what)()
    assert np.array_equal(sitk.GetArrayFromImage(found), volume((5, 8, 9)))


def test_a_translation_in_reduced_precision_keeps_every_code(tmp_path):
    """Bar 16: whatever the run was trained in, measured images are translated in fp32."""
    ramp = np.arange(-1024, -599, dtype=np.int16).reshape(25, 17, 1)
    run = Double(described([-1024, 3071], write={"dtype": "int16"}), Identity)
    run.translator.trainer.precision = "bf16"
    again = type(run.translator)(run.translator.trainer, run.translator.recipe, 5)
    run.translator = again
    [file] = run(nifti(tmp_path / "x.nii.gz", ramp), tmp_path / "out")
    assert again.trainer.precision == "fp32" and np.array_equal(values(file), ramp)
