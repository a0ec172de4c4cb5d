"""Patterns of cases from names alone, and what is proposed for values."""

import numpy as np
import pytest
from loaded import CATALOG

from i2i_forge.data import Header
from i2i_forge.data.case_names import find_layout
from i2i_forge.data.file_formats import Files
from i2i_forge.data.file_values import Image, file_values, plane_digest
from i2i_forge.data.proposals import looks_like, rounded
from i2i_forge.data.stored import Stored

FILES = Files(CATALOG.files)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        pytest.param(
            [f"p{i}/{n}.nii.gz" for i in range(3) for n in ("mr", "ct", "mask", "mr2")],
            {"ct": ["{case}/ct.nii.gz"], "mask": ["{case}/mask.nii.gz"], "mr": ["{case}/mr.nii.gz"],
             "mr2": ["{case}/mr2.nii.gz"]}, id="sub-folders"),
        pytest.param(
            [f"p{i}/{n}.mha" for i in range(9) for n in ("mr", "ct") if (i, n) != (4, "ct")] + ["p1/notes.mha"],
            {"ct": ["{case}/ct.mha"], "mr": ["{case}/mr.mha"]}, id="names equal in most sub-folders"),
        pytest.param(
            [f"BraTS20_{i:03}/BraTS20_{i:03}_{n}.nii.gz" for i in range(9) for n in ("t1", "t1ce", "seg")],
            {"seg": ["{case}/{case}_seg.nii.gz"], "t1": ["{case}/{case}_t1.nii.gz"],
             "t1ce": ["{case}/{case}_t1ce.nii.gz"]}, id="the folder in the name"),
        pytest.param(
            [f"Task1/{site}/1B{site}{i}/{n}.mha" for site in ("brain", "body") for i in range(3) for n in ("mr", "ct")],
            {"ct": ["Task1/{folder}/{case}/ct.mha"], "mr": ["Task1/{folder}/{case}/mr.mha"]}, id="SynthRAD"),
        pytest.param(
            [f"sub-{s}/v{i}/anat/sub-{s}_v{i}_{n}.nii.gz" for s in range(3) for i in (1, 2) for n in ("T1w", "T2w")],
            {"T1w": ["{subject}/{case}/anat/{subject}_{case}_T1w.nii.gz"],
             "T2w": ["{subject}/{case}/anat/{subject}_{case}_T2w.nii.gz"]}, id="BIDS"),
        pytest.param(
            [f"imagesTr/x_{i:03}_{c:04}.nii.gz" for i in range(4) for c in range(2)]
            + [f"labelsTr/x_{i:03}.nii.gz" for i in range(4)],
            {"imagesTr": ["imagesTr/{case}_0000.nii.gz", "imagesTr/{case}_0001.nii.gz"],
             "labelsTr": ["labelsTr/{case}.nii.gz"]}, id="nnU-Net"),
        pytest.param(
            [f"{d}/ROIs1158_spring_{s}_p{i}.tif" for d in ("s1", "s2") for s in (1, 44) for i in range(3)],
            {"s1": ["s1/{subject}_{part}.tif"], "s2": ["s2/{subject}_{part}.tif"]}, id="tiles of scenes"),
        pytest.param(
            [f"w{i}_{n}.ome.tif" for i in range(4) for n in ("bf", "fl")],
            {"bf": ["{case}_bf.ome.tif"], "fl": ["{case}_fl.ome.tif"]}, id="endings of names"),
        pytest.param(
            [f"{n}_{i:03}.tif" for i in range(4) for n in ("mr", "ct")],
            {"ct": ["ct_{case}.tif"], "mr": ["mr_{case}.tif"]}, id="beginnings of names"),
        pytest.param([f"{i}.tif" for i in range(4)], {"image": ["{case}.tif"]}, id="one image"),
        pytest.param([f"a{i}/{k}.npy" for i in range(3) for k in range(50)], None, id="slices are no images"),
        pytest.param(["x.npy"], None, id="one file"),
        pytest.param([], None, id="nothing"),
    ],
)  # fmt: skip
def test_patterns(names, found):
    layout = find_layout(names, FILES)
    assert (layout and {name: list(patterns) for name, patterns in layout.files.items()}) == found
    assert layout is None or layout.split == {}


def test_folders_of_equal_names_are_images_though_scenes_have_words_for_names():
    """A scene is never taken for an image, which would pair one with another."""
    names = [
        f"{folder}/{scene}_p{tile}.tif" for folder in ("s1", "s2") for scene in ("north", "west") for tile in (1, 2)
    ]
    layout = find_layout(names, FILES)
    assert layout is not None
    assert layout.files == {name: (f"{name}/{{subject}}_{{part}}.tif",) for name in ("s1", "s2")}


def test_folders_of_splits_are_not_part_of_a_case():
    names = [f"{split}/p{i}/{n}.mha" for split in ("train", "val") for i in range(3) for n in ("mr", "ct")]
    layout = find_layout(names, FILES)
    assert layout.split == {"train": "train", "test": "val"}
    assert layout.files == {"ct": ("{case}/ct.mha",), "mr": ("{case}/mr.mha",)}


@pytest.mark.parametrize(
    ("ends", "range"),
    [
        ((27314.0, 31017.0), [27300, 31100]),
        ((-24.4, 0.37), [-25, 1]),
        ((0.0, 0.6804), [0, 0.69]),
        ((-1024.0, 717.0), [-1100, 800]),
        ((5.0, 5.0), [5, 6]),
        ((float("nan"), float("nan")), [0, 1]),
    ],
)
def test_ranges_are_round_numbers(ends, range):
    assert rounded(*ends) == range


class Given(Stored):
    """An array as if it were a file."""

    def __init__(self, codes, **header):
        *axes, channels, rows, columns = codes.shape
        named = tuple((f"axis{n}", length) for n, length in enumerate(axes))
        options = {"channels": ("",) * channels, "axes": named, "dtype": codes.dtype.name, **header}
        self.codes, self.header = codes, Header(rows, columns, **options)

    def array(self):
        return self.codes


def image_of(codes, **header):
    stored = Given(codes, **header)
    return Image(("{case}",), {"x": stored.header}, values={"x": file_values(stored)})


def test_values_are_quantities_without_what_is_no_data():
    codes = np.array([[[[0, 2], [4, 9]]], [[[0, 0], [0, 0]]]], np.uint8)
    found = file_values(Given(codes, slope=(0.5,), offset=(1.0,), nodata=(9.0,)))
    assert (found.low, found.high, found.count, found.missing) == (1.0, 3.0, 7, 1)
    assert sorted(found.labels) == [1, 2, 3] and found.digests[1:] == ("",)
    nothing = file_values(Given(np.full((1, 2, 2), np.nan, np.float32)))
    assert (nothing.count, nothing.missing, nothing.labels) == (0, 4, frozenset())


@pytest.mark.parametrize(
    ("values", "labels"),
    [(range(16), list(range(16))), (range(17), []), ([0, 0.5], []), ([-1, 3], [-1, 3]), ([4, 4], [])],
)
def test_labels_are_at_most_sixteen_whole_values(values, labels):
    image = image_of(np.array([[list(values)]], np.float32))
    assert image.labels == labels


LIES = {"notes": ("lies at (0, 0)",)}


@pytest.mark.parametrize(
    ("codes", "header", "meaning"),
    [
        (np.linspace(-1024, 1900, 4096).astype("i2"), {"orientation": "LPS"}, "HU"),
        (np.linspace(-1024, 1900, 4096).astype("i2"), {}, ""),
        (np.linspace(0, 10, 4096), {"unit": "HU"}, "HU"),
        (np.linspace(-1024, 1900, 4096).astype("i2"), {"orientation": "LPS", "unit": "BQML"}, ""),
        (np.linspace(-30, 4, 4096, dtype="f4"), LIES, "dB"),
        (np.linspace(0.001, 4, 4096, dtype="f4"), LIES, ""),
        (np.linspace(0, 9000, 4096).astype("u2"), {"channels": ("B04",), **LIES}, "reflectance x 10,000"),
        (np.linspace(0, 9000, 4096).astype("u2"), {"slope": (1e-4,)}, "reflectance"),
        (np.linspace(0, 9000, 4096).astype("u2"), {}, ""),
    ],
)
def test_what_values_look_like(codes, header, meaning):
    assert looks_like(image_of(codes.reshape(1, 64, 64), **header)) == meaning


def test_planes_of_one_code_are_alike_by_chance():
    holes = np.array([[[np.nan, 3], [np.nan, np.nan]]])
    assert [plane_digest(each) for each in (holes, holes[..., :1], np.zeros((1, 2, 2)))] == ["", "", ""]
    assert plane_digest(np.array([[[np.nan, 3], [4, np.nan]]])) != ""


def test_digests_know_types_and_shapes():
    codes = np.arange(12).reshape(1, 3, 4)
    several = [codes.astype("u1"), codes.astype("u2"), codes.reshape(1, 4, 3).astype("u1"), codes[:, ::-1].astype("u1")]
    assert len({plane_digest(each) for each in several}) == 4
    assert plane_digest(np.asfortranarray(several[0])) == plane_digest(several[0])
