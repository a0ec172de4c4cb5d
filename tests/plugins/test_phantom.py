"""phantom: eight subjects whose every voxel is known, as arrays and as files.

The truth of labels holds wherever ellipses are drawn. That of noise is NumPy's stream of normal numbers: should it
change one day, means move by less than 0.1, and the digest is another.
"""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from loaded import CATALOG

from i2i_forge.data import Domains, ImageSpace
from i2i_forge.data.file_formats import Files
from i2i_forge.errors import DataError
from i2i_forge.recipe.domains import Domain
from i2i_forge_plugins.phantom import Phantom
from i2i_forge_plugins.phantom.body import LABELS, SUBJECTS, TRAINING, subject
from i2i_forge_plugins.phantom.dicom import write_series

BODIES = [subject(number) for number in range(SUBJECTS)]
FILES = Files(CATALOG.files)
AFFINE = ((0, 0, 2, 0), (0, 2, 0, 0), (5, 0, 0, 0))  # (slice, row, column, 1) to L, P and S
MR = {"percentile": [0, 99.5], "over": "case", "in": "mask"}
DOMAINS = {"a": {"range": MR}, "b": {"unit": "HU", "range": [-1024, 3071]}, "mask": {"kind": "labels"}}


@pytest.mark.parametrize(
    ("number", "body", "mean_in_body", "mean", "bright", "lesion", "lung", "bone"),
    [
        (0, 22776, -75.4844, -678.6249, 1092, 0, 3290, 928),
        (1, 22404, -78.9865, -685.1630, 782, 80, 3248, 844),
        (2, 21588, -84.2438, -698.3058, 1203, 0, 3298, 860),
        (3, 25164, -65.4981, -641.0934, 1233, 85, 3238, 872),
        (4, 22032, -82.6249, -691.5604, 1018, 0, 3304, 852),
        (5, 20988, -83.7705, -706.4846, 1016, 85, 3229, 884),
        (6, 22136, -78.0491, -688.5656, 1148, 0, 3274, 932),
        (7, 23716, -72.5872, -664.3800, 757, 80, 3313, 908),
    ],
)
def test_a_subject_is_known(number, body, mean_in_body, mean, bright, lesion, lung, bone):
    """Voxels of the body, mean HU in it and of all, the 99.5th percentile of mr in it, voxels of three tissues."""
    images = BODIES[number]
    inside = images["mask"] == 1
    counts = [int((images["label"] == LABELS[name]).sum()) for name in ("lesion", "lung", "bone")]
    assert [int(inside.sum()), *counts] == [body, lesion, lung, bone]
    assert images["ct"][inside].mean() == pytest.approx(mean_in_body, abs=5e-5)
    assert images["ct"].mean() == pytest.approx(mean, abs=5e-5)
    assert np.percentile(images["mr"][inside], 99.5) == bright


def test_all_subjects_are_known_to_the_bit():
    digest = hashlib.sha256()
    types = {"ct": "<i2", "mr": "<u2", "mr2": "<u2", "mask": "<u1", "label": "<u1"}
    for images in BODIES:
        assert {name: image.dtype for name, image in images.items()} == types
        assert {image.shape for image in images.values()} == {(16, 64, 64)}
        for name, kind in types.items():
            digest.update(images[name].astype(kind).tobytes())
    assert digest.hexdigest() == "51d2987eb88929fc51238f8519f6e8585b010303d654a547d4868185b7860983"


def test_ranges_that_a_recipe_finds():
    ct = np.stack([images["ct"] for images in BODIES])
    assert (ct.min(), ct.max()) == (-1024, 744)
    assert ct.mean() == pytest.approx(-681.7722, abs=5e-5)
    mr = np.concatenate([BODIES[number]["mr"][BODIES[number]["mask"] == 1] for number in TRAINING])
    assert np.percentile(mr, [0.5, 99.5], method="inverted_cdf").tolist() == [6, 1186]


def test_a_dicom_series_is_what_was_written(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("pydicom")
    for name, volume in BODIES[3].items():
        folder = tmp_path / "subject_3" / name
        folder.parent.mkdir(exist_ok=True)
        write_series(folder, volume, (5.0, 2.0, 2.0))
        (series,) = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        found = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series))
        values = sitk.GetArrayFromImage(found)
        assert values.dtype == volume.dtype and np.array_equal(values, volume)
        assert (found.GetSpacing(), found.GetOrigin()) == ((2, 2, 5), (0, 0, 0))
        assert found.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_a_format_is_told_what_it_writes(tmp_path):
    class Told(dict):
        def write(self, path, codes, header, like):
            assert path.parent.is_dir() and like is None
            self[str(path.relative_to(tmp_path))] = codes, header

    told, counted = Told(), []
    Phantom().write(tmp_path, lambda done, total: counted.append((done, total)), format=told, ending=".vol.gz")
    assert counted == [(done, 40) for done in range(1, 41)]
    assert set(told) == {f"subject_{number}/{name}.vol.gz" for number in range(8) for name in BODIES[0]}
    for file, (codes, header) in told.items():
        name = file[10:-7]
        assert (codes.shape, codes.dtype) == (header.shape, header.dtype)
        assert np.array_equal(codes[:, 0], BODIES[int(file[8])][name])
        assert (header.axes, header.spacing, header.unit) == ((("z", 16),), (5, 2, 2), "HU" if name == "ct" else "")
        # The last slice is 75 mm towards the head, the last row and column 126 mm to the back and to the left.
        assert (np.array(header.affine) @ [15, 63, 63, 1]).tolist() == [126, 126, 75]


def described(**domains):
    return Domains({name: ImageSpace(Domain.model_validate(said)) for name, said in domains.items()}, FILES)


def test_examples_are_slices_of_subjects_that_never_change_sides():
    train, test = (Phantom(domains=described(**DOMAINS)).sources(split)[0] for split in ("train", "test"))
    assert (len(train), len(test)) == (96, 32)
    assert {train.group(index) for index in range(96)} == {f"subject_{number}" for number in range(6)}
    assert (test.group(0), test.group(31), test.name(20)) == ("subject_6", "subject_7", "subject_7/mr slice 5/16")
    for index, (number, place) in {5: (6, 5), 20: (7, 4)}.items():
        found = test.example(index, None)
        assert {name: (*image.shape, image.dtype) for name, image in found.items()} == {
            "a": (1, 64, 64, torch.float32), "b": (1, 64, 64, torch.float32), "mask": (1, 64, 64, torch.uint8)
        }  # fmt: skip
        ct = (found["b"].double() + 1) * (3071 + 1024) / 2 - 1024
        assert np.array_equal(ct.round()[0].numpy(), BODIES[number]["ct"][place])
        assert np.array_equal(found["mask"][0].numpy(), BODIES[number]["mask"][place])
        bright = {6: 1148, 7: 757}[number]  # what is 1 there: the 99.5th percentile of the subject in its mask
        mr = (found["a"].double() + 1) * bright / 2
        assert np.array_equal(mr.round()[0].numpy(), np.minimum(BODIES[number]["mr"][place], bright))


@pytest.mark.parametrize(
    ("task", "a", "b", "channels"),
    [
        ("ct_from_mr_mr2", {"channels": ["mr", "mr2"], "range": [0, 1200]}, DOMAINS["b"], (2, 1)),
        ("mr2_from_mr", {"range": [0, 1200]}, {"range": [0, 1200]}, (1, 1)),
        ("labels", {"kind": "labels", "values": [*range(7)]}, DOMAINS["b"], (7, 1)),
    ],
)
def test_other_tasks(task, a, b, channels):
    found = Phantom(task, domains=described(a=a, b=b)).sources("train")[0].example(3 * 16 + 8, None)
    assert tuple(len(found[name]) for name in found) == channels
    names = {"ct_from_mr_mr2": ["mr", "mr2"], "mr2_from_mr": ["mr"]}.get(task)
    if names:
        truth = np.stack([BODIES[3][name][8] for name in names])
        assert np.array_equal(((found["a"].double() + 1) * 600).round().numpy(), truth.clip(0, 1200))
    else:
        assert np.array_equal(found["a"].argmax(0).numpy(), BODIES[3]["label"][8])


def test_a_range_over_training_is_that_of_the_training_subjects():
    domains = described(**{**DOMAINS, "a": {"range": {"percentile": [0.5, 99.5], "over": "training", "in": "mask"}}})
    (found,) = Phantom(domains=domains).sources("train")[0].ranges("a")
    assert found["range"] == (6, 1186)


@pytest.mark.parametrize(
    ("form", "ending", "named", "needs"),
    [
        ("meta", ".mha", ".mha", "numpy"), ("nifti", ".nii.gz", ".nii.gz", "nibabel"), ("dicom", ".dcm", "", "pydicom")
    ],
)  # fmt: skip
def test_files_hold_what_is_drawn(tmp_path, form, ending, named, needs):
    """A data set of the written files gives the same examples as the one in memory, also to another process."""
    pytest.importorskip(needs)
    drawn = Phantom(domains=described(**DOMAINS))
    drawn.write(tmp_path, format=FILES.format(form), ending=ending)
    for number, name, kind, unit in ((3, "ct", "int16", "HU"), (0, "mr2", "uint16", ""), (7, "label", "uint8", "")):
        stored = FILES.open(tmp_path / f"subject_{number}" / (name + named))
        assert (stored.header.dtype, stored.header.spacing, stored.header.affine) == (kind, (5, 2, 2), AFFINE)
        assert np.array_equal(stored.array()[:, 0], BODIES[number][name])
        assert stored.header.unit == (unit if form == "dicom" else "")
    files = {"a": f"{{case}}/mr{named}", "b": f"{{case}}/ct{named}", "mask": f"{{case}}/mask{named}"}
    read = CATALOG.datasets.get("cases")(root=str(tmp_path), files=files, split={"test": 0.25}, size=64,
                                         domains=drawn.described)  # fmt: skip
    for split, indices in {"train": (0, 40, 95), "test": (0, 31)}.items():
        (one,), (other,) = drawn.sources(split), read.sources(split)
        assert len(one) == len(other)
        for index in indices:
            first, *others = (s.example(index, None) for s in (one, other, *pickle.loads(pickle.dumps([one, other]))))
            assert all(first.keys() == each.keys() for each in others)
            assert all(torch.equal(first[name], each[name]) for each in others for name in first)


def test_nifti_files_run_to_the_left_the_back_and_the_head(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    Phantom().write(tmp_path, format=FILES.format("nifti"), ending=".nii.gz")
    found = nibabel.load(tmp_path / "subject_5/ct.nii.gz")
    assert np.array_equal(found.affine, np.diag([-2, -2, 5, 1])) and nibabel.aff2axcodes(found.affine) == (*"LPS",)
    assert np.array_equal(np.asarray(found.dataobj), BODIES[5]["ct"].transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "domain a is measured"),
        ({"domains": described(a=DOMAINS["a"])}, "domain b is measured"),
        ({"domains": described(**DOMAINS), "task": "ct_from_pet"}, "there is no 'ct_from_pet'"),
    ],
)
def test_mistakes(options, words):
    with pytest.raises(DataError, match=words) as error:
        Phantom(**options).sources("train")
    assert error.value.fix
