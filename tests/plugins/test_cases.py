"""Data sets of measured images: cases by patterns, and folders of files that are described."""

import logging

import numpy as np
import pytest
import torch
from described import described, write
from PIL import Image

from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import DataError, ForgeError
from i2i_forge_plugins.cases import Cases
from i2i_forge_plugins.image_folders import PairedFolders, UnpairedFolders

HU = {"range": [-1024, 3071], "unit": "HU"}
COUNTS = {"range": [0, 65535]}
LABELS = {"kind": "labels"}
FILES = {"a": "{case}/mr.mha", "b": "{case}/ct.mha", "mask": "{case}/mask.mha"}


@pytest.fixture
def patients(tmp_path):
    """Four volumes of 3 to 6 slices of 6x7, with masks whose slice k has k labels of 1 and one 2."""
    random = np.random.default_rng(0)
    for number in range(4):
        shape = (3 + number, 1, 6, 7)
        mask = np.zeros(shape, np.uint8)
        for place in range(len(mask)):
            mask[place].flat[: place + 1] = 1
            mask[place, 0, -1, -1] = 2
        write(tmp_path / f"p{number}/mr.mha", random.integers(0, 60000, shape).astype("uint16"), ("z",))
        write(tmp_path / f"p{number}/ct.mha", random.integers(-1024, 3000, shape).astype("int16"), ("z",))
        write(tmp_path / f"p{number}/mask.mha", mask, ("z",))
    return tmp_path


def cases(root="", files=FILES, domains=None, **options):
    domains = domains or described(a=COUNTS, b=HU, mask=LABELS)
    return Cases(**{"root": str(root), "files": files, "size": 4, "domains": domains, **options})


def names(source):
    return [source.name(index).rpartition("/p")[2] for index in range(len(source))]


def test_an_example_is_a_slice_of_every_image(patients):
    dataset = cases(patients)
    (train,), (test,) = dataset.sources("train"), dataset.sources("test")
    assert len(train) == 3 + 4 + 5 + 6 and dataset.domains == ["a", "b", "mask"]
    assert (train.name(4), train.group(4), train.place(4)) == (f"{patients}/p1/mr.mha slice 2/4", "p1", (1, 1))
    found = test.example(4, None)
    assert {name: (*image.shape, image.dtype) for name, image in found.items()} == {
        "a": (1, 6, 7, torch.float32), "b": (1, 6, 7, torch.float32), "mask": (1, 6, 7, torch.uint8)
    }  # fmt: skip
    assert found["mask"].flatten()[:3].tolist() == [1, 1, 0] and found["mask"][0, -1, -1] == 2
    assert train.example(4, torch.Generator())["a"].shape == (1, 4, 4)
    assert [train.place(index) for index in train.preview(3)] == [(0, 1), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("train", "kept"),
    [
        ("all", [3, 4, 5, 6]),
        ("mask > 0", [3, 4, 5, 6]),
        ("mask > 0.1", [0, 1, 2, 3]),  # of 42 pixels more than 4.2: k + 2 of them, from the fourth slice on
        ("mask > 0.1 @ 1", [0, 0, 1, 2]),
        ("mask > 3e-2 @ 2", [0, 0, 0, 0]),
        ("mask > .02 @ 2", [3, 4, 5, 6]),
    ],
)
def test_slices_train_by_their_share_of_a_mask_and_all_are_tested(patients, train, kept):
    dataset = cases(patients, slices={"train": train})
    if not any(kept):
        with pytest.raises(DataError, match=r"data.slices.train: .* leaves no slice"):
            dataset.sources("train")
    else:
        (source,) = dataset.sources("train")
        assert [sum(source.place(i)[0] == case for i in range(len(source))) for case in range(4)] == kept
    assert len(dataset.sources("test")[0]) == 18


@pytest.mark.parametrize("train", ["mask", "mask > e", "mask > 1 @ x", "bone > 0.1", "mask < 0.1", "a > 0.5; x"])
def test_conditions_that_are_none(patients, train):
    with pytest.raises(DataError, match=r"data\.slices\.train: .* is no condition on a or b or mask"):
        cases(patients, slices={"train": train}).sources("train")


def test_splits_by_share_folders_and_list(patients):
    share = cases(patients, split={"test": 0.25})
    assert names(share.sources("test")[0])[0] == "3/mr.mha slice 1/6" and len(share.sources("train")[0]) == 12
    assert share.without_tests() == () and cases(patients).without_tests() == ("a", "b")
    (patients / "list.csv").write_text("case,fold\np0,0\np1,0\np2,1\n")
    fold = cases(patients, split={"list": "list.csv", "fold": 1})
    assert [len(fold.sources(split)[0]) for split in ("train", "test")] == [7, 5]
    for part, number in (("in", 0), ("in", 1), ("out", 0)):
        for file in (patients / f"p{number}").iterdir():
            (patients / part / f"p{number}").mkdir(parents=True, exist_ok=True)
            (patients / part / f"p{number}" / file.name).symlink_to(file)
    folders = {"train": "in", "test": "out"}
    assert len(cases(patients, split=folders).sources("train")[0]) == 7  # names of cases begin anew in each folder
    subjects = {name: pattern.replace("case", "subject") for name, pattern in FILES.items()}
    with pytest.raises(DataError, match=r"group p0 is in train and in test: .*in/p0/mr.mha and .*out/p0/mr.mha"):
        cases(patients, subjects, split=folders).sources("train")


def test_unpaired_data_have_orders_and_masks_of_their_own(patients):
    files = {"a": FILES["a"], "b": FILES["b"], "mask_a": FILES["mask"]}
    (patients / "p0/ct.mha").unlink()
    domains = described(a=COUNTS, b=HU, mask_a={**LABELS, "of": "a"})
    a, b = cases(patients, files, domains, paired=False, slices={"train": "mask_a > 0.1"},
                 augment={"foreground": {"mask_a": 1.0}}).sources("train")  # fmt: skip
    assert (len(a), len(b)) == (6, 4 + 5 + 6)
    assert [set(s.example(0, torch.Generator())) for s in (a, b)] == [{"a", "mask_a"}, {"b"}]
    homeless = described(a=COUNTS, b=HU, mask_a=LABELS)
    with pytest.raises(DataError, match="unpaired data: mask_a belongs to no domain") as error:
        cases(patients, files, homeless, paired=False).sources("train")
    assert error.value.fix == "say domains.mask_a.of: a"


def test_further_images_are_labels_weights_or_values(patients):
    files = {**FILES, "w": FILES["mask"], "dose": FILES["b"]}
    domains = described(a={**COUNTS, "nodata": 0}, b=HU, mask=LABELS, dose={"range": [-1024, 3071]},
                        w={"kind": "weight", "convert": {"times": 0.5}}, valid_a=LABELS)  # fmt: skip
    codes = np.full((3, 1, 6, 7), 9, np.uint16)
    codes[:, :, 0, :2] = 0
    (patients / "p0/mr.mha").unlink()
    write(patients / "p0/mr.mha", codes, ("z",))
    found = cases(patients, files, domains).sources("test")[0].example(1, None)
    assert found["w"].dtype == torch.float32 and found["w"].flatten()[:3].tolist() == [0.5, 0.5, 0]
    assert found["w"].max() == 1  # 2 * 0.5
    assert torch.equal(found["dose"], found["b"])
    assert found["valid_a"].dtype == torch.uint8 and found["valid_a"][0, 0].tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert found["valid_a"].sum() == 40 and found["a"][0, 0, 0] == -1


def test_labels_that_do_not_fit_are_refused(patients):
    (patients / "p0/mask.mha").unlink()
    write(patients / "p0/mask.mha", np.full((3, 1, 6, 7), 300, np.int16), ("z",))
    with pytest.raises(DataError, match=r"p0/mr.mha slice 1/3: mask: labels from 300 to 300"):
        cases(patients).sources("test")[0].example(0, None)
    (patients / "p0/mask.mha").unlink()
    write(patients / "p0/mask.mha", np.full((3, 1, 6, 7), 0.5, np.float32), ("z",))
    with pytest.raises(DataError, match=r"p0/mr.mha slice 1/3: mask: labels are whole numbers"):
        cases(patients).sources("test")[0].example(0, None)


def test_values_that_are_refused_name_their_file(patients):
    domains = described(a={"range": [0, 10], "clip": "refuse"}, b=HU, mask=LABELS)
    with pytest.raises(DataError, match=r"p0/mr.mha slice 1/3: the value \d+ is outside of 0\.\.10"):
        cases(patients, domains=domains).sources("test")[0].example(0, None)


def test_cases_that_are_damaged_may_be_left_out(patients, caplog):
    (patients / "p1/ct.mha").write_bytes(b"nonsense")
    (patients / "p3/mask.mha").unlink()
    with pytest.raises(DataError, match="p3 has no mask"):
        cases(patients).sources("train")
    with caplog.at_level(logging.WARNING):
        (source,) = cases(patients, on_bad="skip").sources("train")
    assert len(source) == 3 + 5 and "case p1 is left out: " in caplog.text and "p3 has no mask" in caplog.text


def test_a_picture_and_measured_values_are_moved_alike(tmp_path):
    """RGB to thermal: 8-bit colour on one side, hundredths of a kelvin in 16-bit PNG on the other."""
    random = np.random.default_rng(1)
    for number in range(3):
        grey = random.integers(0, 255, (12, 16)).astype(np.uint8)
        for folder in ("trainA", "testA"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / folder / f"s{number}_0.png")
        for folder in ("trainB", "testB"):
            write(tmp_path / folder / f"s{number}_0.png", grey[None].astype(np.uint16) * 10 + 27315)
    thermal = {"convert": {"times": 0.01}, "unit": "K", "range": [273.15, 298.65], "display": {"colour": "magma"}}
    domains = described(b=thermal)
    dataset = PairedFolders(str(tmp_path), "two_folders", size=8, flip=True, domains=domains,
                            augment={"turns": True, "flip_vertical": True})  # fmt: skip
    (train,), (test,) = dataset.sources("train"), dataset.sources("test")
    for index in range(3):
        found = test.example(index, None)
        assert found["a"].shape == (3, 8, 8) and found["b"].shape == (1, 8, 8)
        assert (found["a"][:1] - found["b"]).abs().max() < 1e-6
    for seed in range(8):
        found = train.example(0, torch.Generator().manual_seed(seed))
        assert (found["a"][:1] - found["b"]).abs().max() < 1e-6
    swapped = PairedFolders(str(tmp_path), "two_folders", "BtoA", size=8, domains=described(a=thermal)).sources("test")[
        0
    ]
    assert torch.equal(swapped.example(1, None)["a"], test.example(1, None)["b"])
    one, other = UnpairedFolders(str(tmp_path), size=8, domains=domains).sources("train")
    assert (one.example(0, None)["a"].shape, other.example(0, None)["b"].shape) == ((3, 8, 8), (1, 8, 8))
    assert isinstance(one.name(0), str) and one.group(0) == "s0_0"


def test_groups_of_folders_are_not_divided(tmp_path):
    for folder, name in (
        ("trainA", "s1_1"),
        ("trainA", "s2_1"),
        ("testA", "s1_2"),
        ("trainB", "x_1"),
        ("testB", "y_1"),
    ):
        write(tmp_path / folder / f"{name}.tif", np.zeros((1, 4, 4), np.uint16))
    domains = described(a=COUNTS, b=COUNTS)
    assert UnpairedFolders(str(tmp_path), size=4, domains=domains).sources("train")
    with pytest.raises(DataError, match=r"group s1 is in train and in test: .*trainA/s1_1.tif and .*testA/s1_2.tif"):
        UnpairedFolders(str(tmp_path), size=4, domains=domains, group="{subject}_*").sources("train")


def test_measured_images_are_neither_flipped_nor_resized_unless_that_is_said(tmp_path):
    codes = np.arange(20 * 30, dtype=np.uint16).reshape(1, 20, 30)
    for folder in ("trainA", "trainB"):
        write(tmp_path / folder / "1.tif", codes)
    for kind in (PairedFolders, UnpairedFolders):
        options = {"layout": "two_folders", "size": [20, 30], "domains": described(a=COUNTS, b=COUNTS)}
        source = kind(str(tmp_path), **options).sources("train")[0]
        for seed in range(6):
            seen = source.example(0, torch.Generator().manual_seed(seed))["a"]
            assert torch.equal(torch.round((seen + 1) * 32767.5)[0], torch.arange(600.0).reshape(20, 30))
        resized = kind(str(tmp_path), **{**options, "size": 10, "resize": 10}).sources("test")[0].example(0, None)
        assert resized["a"].shape == (1, 10, 10)
    with pytest.raises(DataError, match="layout: images side by side in one file are 8-bit RGB"):
        PairedFolders(str(tmp_path), domains=described(a=COUNTS), a="trainA").sources("train")


def test_pictures_without_description_are_what_they_always_were(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    for folder in ("trainA", "trainB"):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "1.png")
    plain = PairedFolders(str(tmp_path), "two_folders", size=9).sources("test")[0].example(0, None)
    said = PairedFolders(str(tmp_path), "two_folders", size=9, domains=described()).sources("test")[0].example(0, None)
    assert torch.equal(plain["a"], said["a"]) and torch.equal(plain["a"], to_tensor(Image.fromarray(pixels)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"files": {}}, "files: an image has no pattern"),
        ({"files": {"a": []}}, "files: an image has no pattern"),
        ({"root": "/nowhere"}, "/nowhere: there is no such folder"),
        ({"slices": {"plan": "axial"}}, "slices: .* has keys that mean nothing"),
        ({"slices": {"plane": "transversal"}}, "slices.plane: there is no 'transversal'"),
        ({"slices": {"plane": 3}}, "slices.plane: there is no '3'"),
        ({"cache": "ram"}, "cache: there is no 'ram'"),
        ({"on_bad": "ignore"}, "on_bad: there is no 'ignore'"),
        ({"split": {"test": 3}}, "data.split: .* is no split"),
        ({"split": {"list": "no.csv"}}, "no.csv: does not exist"),
        (
            {"files": {"a": "{case}/mr.mha", "b": ["{case}/ct.mha", "{case}/mr.mha"]}},
            "2 files are stacked, .* 1 channels",
        ),
        ({"files": {"a": "{case}/mr.mha", "b": "{case}/ct.mha", "c": "{case}/ct.mha"}}, "ct.mha"),
        ({"size": 0}, "size: 0"),
        ({"augment": {"noise": {"x": 1}}}, "augment.noise: there is no image 'x'"),
        ({"augment": {"rotate": -1}}, "augment.rotate"),
    ],
)
def test_mistakes(patients, options, words):
    with pytest.raises(ForgeError, match=words) as error:
        (source,) = cases(**{"root": patients, **options}).sources("train")
        source.example(0, None)
    assert error.value.fix


def test_a_stack_is_measured(patients):
    files = {**FILES, "a": ["{case}/mr.mha", "{case}/ct.mha"]}
    (source,) = cases(patients, files, described(b=HU, mask=LABELS)).sources("test")
    with pytest.raises(DataError, match="2 files are stacked, and a is 8-bit RGB"):
        source.example(0, None)
    both = described(a={**COUNTS, "channels": ["MR", {"name": "CT", **HU}]}, b=HU, mask=LABELS)
    found = cases(patients, files, both).sources("test")[0].example(7, None)
    assert found["a"].shape == (2, 6, 7) and torch.equal(found["a"][1:], found["b"])
