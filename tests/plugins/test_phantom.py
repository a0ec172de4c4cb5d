"""phantom: eight subjects whose every voxel is known, as arrays and as files.

The truth of labels holds wherever ellipses are drawn. That of noise is NumPy's stream of normal numbers: should it
change one day, means move by less than 0.1, and the digest is another.
"""

import hashlib

import numpy as np
import pytest

from i2i_forge_plugins.phantom import Phantom
from i2i_forge_plugins.phantom.body import LABELS, SUBJECTS, TRAINING, subject
from i2i_forge_plugins.phantom.dicom import write_series

BODIES = [subject(number) for number in range(SUBJECTS)]


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
