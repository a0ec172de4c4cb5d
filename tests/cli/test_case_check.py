"""forge data check, preview and split, and forge check --data, of images that are not 8-bit pictures."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
import tifffile
from loaded import CATALOG
from PIL import Image

from i2i_forge.data import Domains
from i2i_forge.data.domains import build_dataset
from i2i_forge.recipe.reading import read_recipe
from i2i_forge_plugins.phantom.body import SPACING, subject
from i2i_forge_plugins.phantom.dicom import write_series
from i2i_forge_plugins.phantom.sources import header as phantom_header

NOISE = np.random.default_rng(0)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """P: a folder for each of eight subjects, with ct, label, mask, mr and mr2."""
    out = tmp_path_factory.mktemp("phantom") / "P"
    meta = CATALOG.files.get("meta")()
    CATALOG.datasets.get("phantom")().write(out, format=meta, ending=".mha")
    return out


@pytest.fixture
def copied(phantom, tmp_path):
    """P as links, so that a test can replace single files."""
    for file in phantom.rglob("*.mha"):
        link = tmp_path / "P" / file.relative_to(phantom)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return tmp_path / "P"


def pairs(root, *, names=("trainA", "trainB"), count=3, size=(24, 32), make=None):
    """16-bit TIFF in folders."""
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            codes = NOISE.integers(100, 4000, size).astype(np.uint16) if make is None else make(name, number)
            tifffile.imwrite(root / name / f"{number}.tif", codes, photometric="minisblack")


def proposal(out):
    """The lines to paste, as text."""
    lines = out.partition("in a recipe:")[2].splitlines()[1:]
    return "\n".join(line.removeprefix("  ") for line in lines if line.startswith(("  data: ", "  domains: ")))


def recipe_of(tmp_path, text, base="regression_volumes"):
    file = tmp_path / "pasted.yaml"
    file.write_text(f"base: {base}\n{text}\n")
    return file


# Of the phantom as files, for what opens it.
FILES = """base: regression_volumes
data: {files: {a: "{case}/mr.mha", b: "{case}/ct.mha", mask: "{case}/mask.mha"}, split: {test: 0.25}, size: 64}
domains: {a: {range: {percentile: [0, 99.5], over: case, in: mask}}}
"""


@pytest.fixture
def of_files(tmp_path):
    """A recipe for the phantom as files."""
    file = tmp_path / "of_files.yaml"
    file.write_text(FILES)
    return file


# ---- forge data check ------------------------------------------------------------------------------------------------


def line_of(out, name):
    (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
    return line


def check_of_phantom(forge, tmp_path, folder, format):
    count = len(list(folder.iterdir()))
    code, out, err = forge("data", "check", folder)
    assert code == 0, err
    assert out.startswith(f"{folder}: {count} cases, {count} groups: ")
    ct, mask, mr = (line_of(out, name) for name in ("ct", "mask", "mr"))
    assert all(
        said in ct for said in (f"{format} int16", f"64x64x16 ({count})", "2x2x5 mm", "-1,024..7", "looks like HU")
    )
    assert "values 0, 1 " in mask and "34% above 0; 0% of slices are empty" in mask
    assert f"same grid as ct in {count} of {count}" in mr and f"{format} uint16" in mr
    code, _, err = forge("check", recipe_of(tmp_path, proposal(out)), "--no-step")
    assert code == 0, err
    assert "not used: label, mr2" in forge("data", "check", folder)[2]
    return proposal(out)


def test_the_phantom_is_described_and_its_lines_make_a_recipe(forge, tmp_path, phantom):
    text = check_of_phantom(forge, tmp_path, phantom, "MetaImage")
    assert text == (
        f"data: {{use: cases, root: {phantom}, files: {{a: '{{case}}/mr.mha', b: '{{case}}/ct.mha', "
        "mask: '{case}/mask.mha'}}\n"
        "domains: {a: {range: {percentile: [0, 99.5], over: case}}, b: {unit: HU, range: [-1024, 3071]}, "
        "mask: {kind: labels}}"
    )
    recipe = read_recipe(recipe_of(tmp_path, text), set=["data.size=64"])
    dataset = build_dataset("cases", recipe.data.options, Domains.of(recipe, CATALOG), CATALOG, "data")
    (source,) = dataset.sources("train")
    assert {name: tuple(image.shape) for name, image in source.example(0, None).items()} == dict.fromkeys(
        ("a", "b", "mask"), (1, 64, 64)
    )


def test_the_phantom_as_nifti(forge, tmp_path):
    pytest.importorskip("nibabel")
    assert forge("data", "make", "phantom", "--out", tmp_path / "P", "--format", "nifti")[0] == 0
    assert "b: '{case}/ct.nii.gz'" in check_of_phantom(forge, tmp_path, tmp_path / "P", "NIfTI")


def test_dicom_series_are_images(forge, tmp_path):
    """A folder of slices for each image of a subject."""
    pytest.importorskip("pydicom")
    for number in range(2):
        (tmp_path / f"P/subject_{number}").mkdir(parents=True)
        for name, volume in subject(number).items():
            write_series(tmp_path / f"P/subject_{number}" / name, volume, SPACING)
    text = check_of_phantom(forge, tmp_path, tmp_path / "P", "DICOM")
    assert "files: {a: '{case}/mr', b: '{case}/ct', mask: '{case}/mask'}" in text


def test_arrays_do_not_say_what_their_axis_is(forge, tmp_path):
    assert forge("data", "make", "phantom", "--out", tmp_path / "P", "--format", "npy")[0] == 0
    code, out, err = forge("data", "check", tmp_path / "P")
    assert code == 0 and "a and b: an axis axis0 of 16: `axes: {axis0: slices}` is one reading of it" in err
    assert "mask: {kind: labels, axes: {axis0: slices}}" in out and "b: {range: [-1100, 800]" in out
    assert forge("check", recipe_of(tmp_path, proposal(out)), "--data", "--no-step")[0] == 0


def test_sixteen_bit_pictures_in_two_folders(forge, tmp_path):
    pairs(tmp_path / "T", names=("trainA", "trainB", "testA", "testB"))
    code, out, err = forge("data", "check", tmp_path / "T")
    assert (code, err) == (0, "")
    assert "TIFF uint16   32x24 (6)" in line_of(out, "a") and "same grid as a in 6 of 6" in line_of(out, "b")
    assert proposal(out) == (
        f"data: {{use: paired_folders, root: {tmp_path}/T, layout: two_folders}}\n"
        "domains: {a: {range: [100, 4000]}, b: {range: [100, 4000]}}"
    )
    text = proposal(out) + "\nnetworks: {discriminator: {channels: pair}}"
    code, _, err = forge("check", recipe_of(tmp_path, text, "pix2pix_facades"), "--data", "--no-step")
    assert code == 0, err


def test_one_side_stays_rgb(forge, tmp_path):
    """RGB to thermal: 16-bit PNG in hundredths of a kelvin."""
    for name in ("trainA", "trainB"):
        (tmp_path / "T" / name).mkdir(parents=True)
    for number in range(2):
        kelvin = NOISE.integers(27310, 31023, (24, 32)).astype(np.uint16)
        Image.fromarray(kelvin).save(tmp_path / f"T/trainB/{number}.png")
        Image.fromarray(NOISE.integers(0, 256, (24, 32, 3)).astype(np.uint8)).save(tmp_path / f"T/trainA/{number}.png")
    code, out, _ = forge("data", "check", tmp_path / "T")
    assert code == 0 and "3 -> 1 channels" in out
    assert "PNG uint8 3 channels (R, G, B)" in line_of(out, "a") and "domains: {b: {range: [27300, 31100]}}" in out


def test_tiles_of_maps(forge, tmp_path):
    """SAR in dB to reflectance; the scene is in the name of a tile."""
    rasterio = pytest.importorskip("rasterio")
    bands = [f"B{number:02d}" for number in range(1, 9)] + ["B8A", "B09", "B10", "B11", "B12"]
    for scene in range(3):
        for tile in range(4):
            for folder, names, kind in (("s1", ["VV", "VH"], "float32"), ("s2", bands, "uint16")):
                (tmp_path / "G" / folder).mkdir(parents=True, exist_ok=True)
                shape = (len(names), 16, 16)
                codes = NOISE.normal(-12, 4, shape) if folder == "s1" else NOISE.gamma(3, 600, shape)
                codes = codes.astype(kind)
                codes[:, :2, :2] = 0 if folder == "s2" else codes[:, :2, :2]
                with rasterio.open(
                    tmp_path / f"G/{folder}/ROIs1158_spring_{40 + scene}_p{tile}.tif", "w", driver="GTiff", height=16,
                    width=16, count=len(names), dtype=kind, crs="EPSG:32632", nodata=0 if folder == "s2" else None,
                    transform=rasterio.Affine(10, 0, 5e5 + 160 * tile, 0, -10, 5.1e6),
                ) as file:  # fmt: skip
                    file.write(codes)
                    file.descriptions = names
    code, out, err = forge("data", "check", tmp_path / "G")
    assert code == 0, err
    assert out.startswith(f"{tmp_path}/G: 12 cases, 3 groups: s1/{{subject}}_{{part}}.tif, ")
    assert "GeoTIFF float32 2 channels (VV, VH)   16x16 (12)   EPSG:32632" in line_of(out, "s1")
    assert "looks like dB" in line_of(out, "s1") and "looks like reflectance x 10,000" in line_of(out, "s2")
    assert "nodata 0" in line_of(out, "s2") and "1.6% of the values are no data" in line_of(out, "s2")
    assert "a: {channels: [VV, VH], unit: dB, range: [" in out and "2 -> 13 channels" in out
    assert f"b: {{channels: [{', '.join(bands)}], convert: {{times: 0.0001}}, unit: reflectance, range: [0, 0." in out
    sets = ("data.files.mask=~", "data.slices=~", "data.size=16", "domains.mask=~", "domains.b.write=~",
            "domains.a.range=[-25, 5]", "phases.generator.minimize.image=l1(translation, target)")  # fmt: skip
    sets = [part for change in sets for part in ("--set", change)]
    code, _, err = forge("check", recipe_of(tmp_path, proposal(out)), "--data", "--no-step", *sets)
    assert code == 0, err


def test_a_stack_beside_a_flat_image_becomes_channels(forge, tmp_path):
    """Brightfield of seven planes to two stains."""
    (tmp_path / "O").mkdir()
    for well in range(2):
        stack, stains = (NOISE.integers(0, 900, (count, 20, 24)).astype(np.uint16) for count in (7, 2))
        tifffile.imwrite(tmp_path / f"O/w{well}_bf.ome.tif", stack, ome=True, metadata={"axes": "ZYX"})
        named = {"axes": "CYX", "Channel": {"Name": ["DAPI", "TOM20"]}}
        tifffile.imwrite(tmp_path / f"O/w{well}_fl.ome.tif", stains, ome=True, metadata=named, photometric="minisblack")
    code, out, err = forge("data", "check", tmp_path / "O")
    assert code == 0, err
    assert "7 -> 2 channels" in out and "files: {a: '{case}_bf.ome.tif', b: '{case}_fl.ome.tif'}" in out
    assert (
        "a: {range: [0, 900], axes: {z: channels}, channels: 7}, b: {channels: [DAPI, TOM20], range: [0, 900]}" in out
    )
    recipe = read_recipe(recipe_of(tmp_path, proposal(out)), set=["data.files.mask=~", "data.slices=~", "data.size=16"])
    dataset = build_dataset("cases", recipe.data.options, Domains.of(recipe, CATALOG), CATALOG, "data")
    example = dataset.sources("train")[0].example(0, None)
    assert {name: len(image) for name, image in example.items()} == {"a": 7, "b": 2}


def test_patterns_can_be_said(forge, tmp_path, phantom):
    sets = ("--set", "files.a={case}/mr.mha,{case}/mr2.mha", "--set", "files.b={case}/ct.mha")
    code, out, err = forge("data", "check", phantom, *sets)
    assert code == 0, err
    assert "files: {a: ['{case}/mr.mha', '{case}/mr2.mha'], b: '{case}/ct.mha'}" in out and "2 -> 1 channels" in out
    assert forge("check", recipe_of(tmp_path, proposal(out)), "--no-step")[0] == 0
    code, _, err = forge("data", "check", phantom, "--set", "files.a={case}/pet.mha")
    assert code == 4 and "nothing below" in err and "subject_0/ct.mha" in err
    code, _, err = forge("data", "check", phantom, "--set", "a={case}/mr.mha")
    assert code == 2 and "this is not files.NAME=PATTERN" in err


def test_what_is_named_a_and_b_is_a_and_b(forge, phantom):
    sets = [f"files.{name}={{case}}/{file}.mha" for name, file in {"b": "mr", "a": "label", "body": "mask"}.items()]
    code, out, err = forge("data", "check", phantom, *[part for change in sets for part in ("--set", change)])
    assert code == 0 and "7 -> 1 channels" in out, err
    files = "files: {a: '{case}/label.mha', b: '{case}/mr.mha', body: '{case}/mask.mha'}"
    assert files in out and "a: {kind: labels, values: [0, 1, 2, 3, 4, 5, 6]}" in out and "body: {kind: labels}" in out
    assert "b has another scale in each case (99 %: " not in err  # 1.6 times from the least to the most


def test_contrasts_are_stacked_and_other_scales_are_said(forge, tmp_path):
    """T1, T2 and FLAIR to T1 with contrast agent, whose scale is another in each case."""
    meta, header = CATALOG.files.get("meta")(), phantom_header("mr", subject(0)["mr"])
    for number, gain in enumerate((1, 2, 16)):
        (tmp_path / f"B/B_{number}").mkdir(parents=True)
        for name in ("t1", "t2", "flair", "t1ce"):
            codes = subject(number)["mr"] * np.uint16(gain if name == "t1ce" else 1)
            meta.write(tmp_path / f"B/B_{number}/B_{number}_{name}.mha", codes[:, np.newaxis], header, None)
    code, out, err = forge("data", "check", tmp_path / "B")
    assert code == 0 and "3 -> 1 channels" in out, err
    stack = ", ".join(f"'{{case}}/{{case}}_{name}.mha'" for name in ("flair", "t1", "t2"))
    assert f"files: {{a: [{stack}], b: '{{case}}/{{case}}_t1ce.mha'}}" in out and "channels: [flair, t1, t2]" in out
    assert "b has another scale in each case (99 %: " in err
    assert forge("check", recipe_of(tmp_path, proposal(out)), "--no-step")[0] == 0


def test_what_cannot_be_trained_from_is_named(forge, copied):
    """A damaged file, then a missing one, then one on another grid: each is exit code 4, and the rest is described."""
    ct, mask, mr = (copied / f"subject_1/{name}.mha" for name in ("ct", "mask", "mr"))
    whole = ct.read_bytes()
    ct.unlink()
    ct.write_bytes(whole[:-100])
    code, out, err = forge("data", "check", copied)
    assert code == 4 and f"{ct}: " in out and f"1 of 40 images in {copied} cannot be used" in err
    ct.write_bytes(whole)
    mask.unlink()
    code, _, err = forge("data", "check", copied)
    assert code == 4 and "1 cases in" in err and "subject_1 has no mask" in err
    mask.symlink_to((copied / "subject_2/mask.mha").resolve())
    moved = mr.read_bytes().replace(b"Offset = 0.0 0.0 0.0", b"Offset = 0.0 0.0 9.0", 1)
    assert moved != mr.read_bytes()
    mr.unlink()
    mr.write_bytes(moved)
    code, out, err = forge("data", "check", copied)
    assert code == 4 and "1 of 8 cases do not lie on one grid" in err and str(mr) in err
    assert "same grid as ct in 7 of 8" in out


def test_training_and_test_folders_are_compared_by_codes(forge, tmp_path, phantom):
    for number in range(4):
        for image in ("ct", "mr"):
            link = tmp_path / "S" / ("train" if number < 3 else "test") / f"subject_{number}" / f"{image}.mha"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(phantom / f"subject_{number}/{image}.mha")
    code, out, err = forge("data", "check", tmp_path / "S")
    assert code == 0 and "split: {train: train, test: test}" in out and "between training and test" not in err
    twin = tmp_path / "S/test/subject_9"
    twin.mkdir()
    for image in ("ct", "mr"):
        (twin / f"{image}.mha").symlink_to(phantom / f"subject_0/{image}.mha")
    code, out, err = forge("data", "check", tmp_path / "S")
    assert code == 0 and "files that share planes between training and test: 2" in err
    found = json.loads(forge("data", "check", tmp_path / "S", "--json")[1])
    assert [f"{tmp_path}/S/{x}/ct.mha" for x in ("train/subject_0", "test/subject_9")] in found["in_training_and_test"]


def test_mixed_polarity_and_flat_images_are_said(forge, tmp_path):
    pairs(tmp_path / "T", make=lambda name, number: np.full((8, 8), 700 + number, np.uint16))
    tifffile.imwrite(tmp_path / "T/trainA/0.tif", np.full((8, 8), 9, np.uint16), photometric="miniswhite")
    code, _, err = forge("data", "check", tmp_path / "T")
    assert code == 0 and "asks to be shown inverted" in err and "trainA/0.tif" in err
    assert "b: all values are equal in 3 files" in err


def test_facts_as_json(forge, phantom):
    code, out, _ = forge("data", "check", phantom, "--json")
    found = json.loads(out)
    assert (code, found["cases"], found["paired"]) == (0, 8, True)
    assert found["images"]["ct"]["ends"] == [-1024, 744] and found["images"]["label"]["labels"] == list(range(7))
    assert found["data"][0]["use"] == "cases" and found["domains"][0]["b"] == {"unit": "HU", "range": [-1024, 3071]}


@pytest.mark.parametrize(
    ("names", "words"),
    [((), "no image in"), (("x.npy",), "do not say which files belong"), (("a/1.npy", "b/2.npy"), "do not say")],
)
def test_folders_that_say_nothing(forge, tmp_path, names, words):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.zeros((4, 4), np.uint16))
    code, out, err = forge("data", "check", tmp_path)
    assert (code, out) == (4, "") and words in err and "fix: " in err


def test_pictures_stay_what_they_were(forge, tmp_path):
    """A few deep pictures among 8-bit ones, and pairs side by side, are surveyed as before."""
    for name in ("trainA", "trainB"):
        (tmp_path / "R" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(NOISE.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / f"R/{name}/{number}.png")
    Image.fromarray(NOISE.integers(0, 65536, (32, 32)).astype(np.uint16)).save(tmp_path / "R/trainA/1.png")
    np.save(tmp_path / "R/features.npy", np.zeros((3, 3)))
    code, out, _ = forge("data", "check", tmp_path / "R")
    assert code == 0 and "1 of the images: more than 8 bits are rounded to 8" in out and "domains" not in out
    pairs(tmp_path / "S", names=("train", "test"))
    code, out, _ = forge("data", "check", tmp_path / "S")
    assert code == 0 and f"data: {{use: paired_folders, root: {tmp_path}/S}}" in out


# ---- forge data split ------------------------------------------------------------------------------------------------


def test_a_list_of_whole_groups(forge, tmp_path, phantom, of_files):
    out = tmp_path / "cases.csv"
    code, said, err = forge("data", "split", phantom, "--test", "0.25", "--out", out)
    assert (code, said) == (0, f"{out}\n") and "8 cases of 8 groups: 6 in train, 2 in test" in err
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 6 + ["test"] * 2
    assert rows[0] == {"case": "subject_0", "group": "subject_0", "split": "train"}
    data = f"{{use: cases, root: {phantom}, split: {{test: ~, list: {out}}}}}"
    recipe = read_recipe(of_files, set=[f"data={data}"])
    dataset = build_dataset("cases", recipe.data.options, Domains.of(recipe, CATALOG), CATALOG, "data")
    assert [case.name for case in dataset.cases(["a"])["test"]] == ["subject_6", "subject_7"]
    assert forge("data", "split", phantom, "--test", "0.5", "--out", out)[0] == 0  # its own list is replaced
    out.write_text("something else")
    assert forge("data", "split", phantom, "--test", "0.5", "--out", out)[0] == 2


def test_folds_deal_groups_in_turn(forge, tmp_path):
    for number in (1, 2, 10):
        for visit in range(3):
            folder = tmp_path / f"V/p{number}_v{visit}"
            folder.mkdir(parents=True)
            for name in ("ct", "mr"):
                np.save(folder / f"{name}.npy", np.zeros((4, 4), np.uint16))
    out = tmp_path / "V/folds.csv"
    code, _, err = forge("data", "split", tmp_path / "V", "--folds", "2", "--out", out)
    assert code == 0 and "split: {test: ~, list: folds.csv, fold: 0}" in err
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["group"], row["fold"]) for row in rows) == {("p1", "0"): 3, ("p2", "1"): 3, ("p10", "0"): 3}
    assert rows[-1]["case"] == "p10_v2"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "--test 0.2, or --folds 5"),
        (("--test", "0.2", "--folds", "5"), 2, "--test 0.2, or --folds 5"),
        (("--folds", "9"), 4, "8 groups make no 9 parts"),
        (("--test", "1"), 2, "--test"),
    ],
)
def test_mistakes_of_splitting(forge, tmp_path, phantom, options, code, words):
    got, out, err = forge("data", "split", phantom, "--out", tmp_path / "cases.csv", *options)
    assert (got, out) == (code, "") and words in err and not (tmp_path / "cases.csv").exists()


# ---- forge check --data ----------------------------------------------------------------------------------------------


def checked(forge, recipe, root, *changes):
    sets = [part for change in (f"data.root={root}", *changes) for part in ("--set", change)]
    return forge("check", recipe, "--no-step", "--data", *sets)


def test_a_recipe_with_its_data(forge, copied, of_files):
    code, out, err = checked(forge, of_files, copied)
    assert code == 0, err
    assert "96 images of 6 groups in train, 32 images of 2 groups in test; no group and no image is in both" in out
    code, _, err = checked(forge, of_files, copied, "data.split.list=cases.csv")  # beside `test`
    assert code == 4 and "is no split" in err
    code, out, err = checked(forge, of_files, copied, "data.split=~")
    assert code == 0 and "there is no test set of a and b" in err


def test_a_group_in_both_splits_is_named_with_two_files(forge, copied, of_files):
    rows = [(f"subject_{n}", "one" if n in (2, 6) else n, "test" if n > 5 else "train") for n in range(8)]
    text = "\n".join(",".join(map(str, row)) for row in [("case", "group", "split"), *rows])
    (copied / "cases.csv").write_text(text)
    code, _, err = checked(forge, of_files, copied, "data.split={test: ~, list: cases.csv}")
    assert code == 4 and "group one is in train and in test" in err
    assert f"{copied}/subject_2/mr.mha and {copied}/subject_6/mr.mha" in err


def test_a_patient_in_the_folders_of_both_splits(forge, tmp_path, phantom, of_files):
    for split, numbers in {"train": (0, 1, 2), "test": (2, 3)}.items():
        for number in numbers:
            (tmp_path / "S" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "S" / split / f"subject_{number}").symlink_to(phantom / f"subject_{number}")
    code, _, err = checked(forge, of_files, tmp_path / "S", "data.split={train: train, test: test}")
    assert code == 4 and "group subject_2 is in train and in test" in err


def test_a_slice_under_another_name_is_found_by_its_codes(forge, copied, of_files):
    """Ranges are those of each case, so that the same codes make two tensors."""
    meta, images = CATALOG.files.get("meta")(), subject(7)
    images["mr"][5] = subject(1)["mr"][9]
    file = copied / "subject_7/mr.mha"
    like = meta.open(file.resolve())
    file.unlink()
    meta.write(file, images["mr"][:, np.newaxis], like.header, like)
    code, _, err = checked(forge, of_files, copied)
    assert code == 4 and "the same image of a is in training and in test" in err
    assert f"{copied}/subject_1/mr.mha slice 10/16 and {file} slice 6/16" in err


def test_missing_files_and_other_grids(forge, copied, of_files):
    file = copied / "subject_3/mr.mha"
    content = file.read_bytes()
    file.unlink()
    code, _, err = checked(forge, of_files, copied)
    assert code == 4 and "subject_3 has no a" in err
    file.write_bytes(content.replace(b"Offset = 0.0 0.0 0.0", b"Offset = 0.0 0.0 9.0", 1))
    code, _, err = checked(forge, of_files, copied)
    assert code == 4 and "case subject_3: " in err and "lie elsewhere" in err


def test_eight_bit_pictures_of_one_content(forge, tmp_path):
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "F" / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(NOISE.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"F/{name}/{number}.png")
    sets = ("--no-step", "--set", f"data={{use: unpaired_folders, root: {tmp_path}/F, size: 64}}")
    code, out, err = forge("check", "munit_edge2shoes", "--data", *sets)
    assert code == 0 and "no image is in both" in out, err
    (tmp_path / "F/testB/9.png").write_bytes((tmp_path / "F/trainB/0.png").read_bytes())
    code, _, err = forge("check", "munit_edge2shoes", "--data", *sets)
    assert code == 4 and f"the same image of b is in training and in test: {tmp_path}/F/trainB/0.png and" in err


# ---- forge data preview ----------------------------------------------------------------------------------------------


def preview(forge, recipe, root, out, ending):
    files = f"{{a: '{{case}}/mr{ending}', b: '{{case}}/ct{ending}', mask: '{{case}}/mask{ending}'}}"
    return forge("data", "preview", recipe, "--out", out, "--set", f"data.root={root}",
                 "--set", f"data.files={files}")  # fmt: skip


def test_a_preview_shows_slices_spread_over_each_case_by_their_display(forge, tmp_path, phantom, of_files):
    code, _, err = preview(forge, of_files, phantom, tmp_path / "p.png", ".mha")
    assert code == 0 and "12 examples" in err and "a beside b -160..240 HU beside mask of a pair" in err
    with Image.open(tmp_path / "p.png") as picture:
        side, head = 128 + 4, picture.height - 3 * 132
        cells = [
            np.asarray(picture.crop((x, head, x + 128, head + 128)).resize((64, 64), 0))
            for x in (3 * side + 4, 4 * side + 4, 5 * side + 4)  # the second example, slice 12 of the first case
        ]
    body, images = subject(0)["mask"][12] > 0, subject(0)
    assert set(np.unique(cells[2])) <= {0, 255} or (cells[2][body] > 200).mean() > 0.9
    assert (cells[1][images["label"][12] == 4] > 200).mean() > 0.8  # bone is white in this window, lung black
    assert (cells[1][images["label"][12] == 3] < 60).mean() > 0.8


def test_six_orientations_make_one_preview(forge, tmp_path, of_files):
    nib = pytest.importorskip("nibabel")
    pictures = []
    for letters in ("RAS", "LAS", "PIR", "LPS", "SAL", "AIL"):
        for number in range(3):
            folder = tmp_path / letters / f"subject_{number}"
            folder.mkdir(parents=True)
            for name in ("mr", "ct", "mask"):
                sides = (-SPACING[2], -SPACING[1], SPACING[0], 1)
                whole = nib.Nifti1Image(subject(number)[name].transpose(2, 1, 0), np.diag(sides))
                turn = nib.orientations.ornt_transform(
                    nib.io_orientation(whole.affine), nib.orientations.axcodes2ornt(letters)
                )
                nib.save(whole.as_reoriented(turn), folder / f"{name}.nii")
        code, _, err = preview(forge, of_files, tmp_path / letters, tmp_path / f"{letters}.png", ".nii")
        assert code == 0, err
        pictures.append((tmp_path / f"{letters}.png").read_bytes())
    assert len(set(pictures)) == 1
