"""Cases translated: masks, records, what is replaced, what is refused, and the command."""

import errno
import json

import numpy as np
import pytest
import torch
from doubles import Broken, Double, Identity, Masked
from PIL import Image
from test_translated_volumes import described

from i2i_forge.data.space import ImageSpace
from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.system.files import sha256_of

RANGE = {"range": [0, 1000], "write": {"dtype": "int16"}}
MASKED = {"a": RANGE, "b": RANGE, "mask": {"kind": "labels"}}
FILES = {"a": "{case}/a.npy", "b": "{case}/b.npy", "mask": "{case}/mask.npy"}


def case(folder, name, mask=True, seed=0, shape=(12, 16)):
    """One with values from 0 to 1000, and a mask of its left half; returns the values."""
    (folder / name).mkdir(parents=True)
    array = np.random.default_rng(seed).integers(0, 1001, shape).astype(np.int16)
    np.save(folder / name / "a.npy", array)
    if mask:
        np.save(folder / name / "mask.npy", left(shape).astype(np.uint8))
    return array


def left(shape):
    return np.broadcast_to(np.arange(shape[1]) < shape[1] // 2, shape)


def test_a_mask_that_a_translation_reads_is_given_to_it(tmp_path):
    array = case(tmp_path / "in", "p1")
    run = Double(MASKED, Masked, files=FILES)
    [file] = run(tmp_path / "in", tmp_path / "out")
    assert file.name == "p1.npy" and np.array_equal(
        np.load(file).squeeze(), np.where(left(array.shape), array, 1000 - array)
    )
    inputs = json.loads((tmp_path / "out/translation.json").read_text())["cases"]["p1"]["inputs"]
    assert list(inputs) == [str(tmp_path / f"in/p1/{name}.npy") for name in ("a", "mask")]


def test_only_what_is_read_is_asked_for(tmp_path):
    """The truth is not; neither is a mask of a method that makes no use of it."""
    array = case(tmp_path / "in", "p1", mask=False)
    np.save(tmp_path / "in/p1/b.npy", np.zeros((3, 4), np.int16))  # of another grid
    [file] = Double(MASKED, files=FILES)(tmp_path / "in", tmp_path / "out")
    assert np.array_equal(np.load(file).squeeze(), array)
    with pytest.raises(DataError, match="case p1: translate needs `mask`: the translation of this method reads it"):
        Double(MASKED, Masked, files=FILES)(tmp_path / "in", tmp_path / "other")
    with pytest.raises(UsageError, match="--files b: this translation reads a alone"):
        Double(MASKED, files=FILES)(tmp_path / "in", tmp_path / "other", files={"b": ["{case}/b.npy"]})
    assert not (tmp_path / "other").exists()


def test_a_tensor_needs_what_is_read_too():
    run, x = Double(MASKED, Masked).translator, torch.rand(2, 1, 9, 11)
    mask = (torch.rand(2, 1, 9, 11) > 0.5).byte()
    assert run.further() == ["mask"] and Double(MASKED).translator.further() == []
    assert run.translate(x, beside={"mask": mask}).equal(torch.where(mask == 1, x, -x))
    with pytest.raises(UsageError, match="translate needs `mask`"):
        run.translate(x)
    with pytest.raises(UsageError, match=r"`mask` has the shape \(2, 1, 9, 10\)"):
        run.translate(x, beside={"mask": mask[..., 1:]})
    wide = (torch.rand(1, 1, 150, 90) > 0.5).byte()
    x = torch.rand(1, 1, 150, 90)
    assert run.translate_in_tiles(x, tile=64, beside={"mask": wide}).equal(run.translate(x, beside={"mask": wide}))


def test_a_mask_is_continued_with_its_image():
    """To sides that the networks take."""
    run = Double(MASKED, Masked).translator
    run.trainer.networks["encoder"]["shared"].stride = 8
    x, mask = torch.rand(1, 1, 9, 11), (torch.rand(1, 1, 9, 11) > 0.5).byte()
    assert run.sides("ab").stride == 1  # the network does not run, so that it does not count
    from i2i_forge.translate.sides import Sides, fit

    fitting, cut = fit({"a": x, "mask": mask}, 9, 11, Sides(8, 8))
    assert fitting["mask"].shape == (1, 1, 16, 16) and fitting["mask"].dtype == torch.uint8
    assert cut(fitting["mask"]).equal(mask.clamp(-1, 1)) and fitting["mask"][0, 0, 0, 2] == mask[0, 0, 0, 0]


@pytest.mark.parametrize("fill", ["low", 7])
def test_the_outside_of_a_mask_is_blanked(tmp_path, capsys, fill):
    array = case(tmp_path / "in", "p1")
    case(tmp_path / "in", "p2", mask=False)
    domains = {**MASKED, "b": {**RANGE, "fill": fill, "write": {"dtype": "int16", "outside": {"mask": "fill"}}}}
    first, second = Double(domains, files=FILES)(tmp_path / "in", tmp_path / "out")
    assert np.array_equal(np.load(first).squeeze(), np.where(left(array.shape), array, 0 if fill == "low" else fill))
    assert np.array_equal(np.load(second).squeeze(), array)
    assert "case p2 has no `mask`: nothing is blanked outside of it" in capsys.readouterr().err
    cases = json.loads((tmp_path / "out/translation.json").read_text())["cases"]
    assert [cases[name]["blanked_outside"] for name in ("p1", "p2")] == [["mask"], []]


def test_the_record_is_true(tmp_path):
    arrays = [case(tmp_path / "in", name, seed=n) for n, name in enumerate(("p1", "p2"))]
    domains = described([-1000, 1000]) | {"b": {"range": [-1000, 1000], "write": {"dtype": "int8"}}}
    run = Double(domains, files=FILES)
    files = run(tmp_path / "in", tmp_path / "out")
    record = json.loads((tmp_path / "out/translation.json").read_text())
    assert (record["recipe"], record["step"], record["weights_sha256"], record["route"]) == ("recipe", 5, "abc", "ab")
    assert {name: ImageSpace(run.domains[name].domain).data() for name in "ab"} == record["spaces"]
    assert "deviation" not in record
    import hashlib

    for file, array, name in zip(files, arrays, ("p1", "p2"), strict=True):
        wanted, found = array, record["cases"][name]
        codes = np.load(file).squeeze()
        assert np.array_equal(codes, wanted.clip(-128, 127)) and found["saturated"] == (wanted > 127).sum() > 0
        path = tmp_path / f"in/{name}/a.npy"
        assert found["inputs"] == {str(path): hashlib.sha256(hashlib.sha256(path.read_bytes()).digest()).hexdigest()}
        assert found["outputs"] == {file.name: hashlib.sha256(codes.tobytes()).hexdigest()}
        assert record["outputs"][file.name] == found["outputs"][file.name]


def test_its_own_files_are_replaced_and_no_others(tmp_path):
    case(tmp_path / "in", "p1")
    run, out = Double(MASKED, files=FILES), tmp_path / "out"
    out.mkdir()
    (out / "p1.npy").write_bytes(b"mine")
    with pytest.raises(UsageError, match="there is something already"):
        run(tmp_path / "in", out)
    (out / "p1.npy").unlink()
    [file] = run(tmp_path / "in", out)
    before = file.read_bytes()
    assert run(tmp_path / "in", out) == [file] and file.read_bytes() == before
    case(tmp_path / "more", "p2")
    run(tmp_path / "more", out)  # another time, another case: the record names both
    assert list(json.loads((out / "translation.json").read_text())["outputs"]) == ["p1.npy", "p2.npy"]
    run(tmp_path / "in", out)
    np.save(tmp_path / "x.npy", np.zeros((8, 8), np.int16))
    with pytest.raises(UsageError, match="is one of the inputs"):
        run(tmp_path / "x.npy", tmp_path)
    (out / "translation.json").write_text("{}")
    with pytest.raises(UsageError, match=r"translation\.json|p1\.npy"):
        run(tmp_path / "in", out)


def test_a_damaged_case_is_left_out_if_that_is_asked_for(tmp_path):
    for number, name in enumerate(("p1", "p2", "p3")):
        case(tmp_path / "in", name, seed=number)
    content = (tmp_path / "in/p2/a.npy").read_bytes()
    (tmp_path / "in/p2/a.npy").write_bytes(content[:-50])
    (tmp_path / "in/p3/a.npy").write_bytes(b"")
    run, said = Double(MASKED, files=FILES), []
    with pytest.raises(DataError, match="p2"):
        run(tmp_path / "in", tmp_path / "no")
    files = run(tmp_path / "in", tmp_path / "out", skip=lambda error: said.append(error.message))
    assert [file.name for file in files] == ["p1.npy"] and len(said) == 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["p1.npy", "sheet.png", "translation.json"]
    with pytest.raises(DataError, match="none of the 1 cases can be used"):
        run(tmp_path / "in/p3/a.npy", tmp_path / "none", skip=said.append)


def test_what_was_written_before_an_error_may_be_replaced(tmp_path, monkeypatch):
    """A full disk ends a translation, not what it has done."""
    for number, name in enumerate(("p1", "p2")):
        case(tmp_path / "in", name, seed=number)
    run, out = Double(MASKED, files=FILES), tmp_path / "out"
    form = run.domains.files.formats["npy"]
    write = form.write

    def full(path, *rest):
        if "p2" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *rest)

    monkeypatch.setattr(form, "write", full)
    with pytest.raises(ResourceError, match=r"p2\.npy"):
        run(tmp_path / "in", out)
    assert sorted(file.name for file in out.iterdir()) == ["p1.npy", "translation.json"]
    monkeypatch.undo()
    assert [file.name for file in run(tmp_path / "in", out)] == ["p1.npy", "p2.npy"]


def test_what_is_not_finite_is_refused(tmp_path):
    case(tmp_path / "in", "p1", shape=(8, 8))
    with pytest.raises(DataError, match="the translation is not finite in slice 1 of case p1"):
        Double(MASKED, Broken, files=FILES)(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_sheet_shows_middle_slices_by_display(tmp_path):
    case(tmp_path / "in", "p1", shape=(128, 128))
    domains = {"a": RANGE, "b": {**RANGE, "display": {"window": [0, 500], "colour": "magma"}}}
    Double(domains, Identity, files=FILES)(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out/sheet.png") as sheet:
        pixels = np.asarray(sheet)[-100:-20]
    grey, colour = pixels[:, 20:120], pixels[:, 150:250]
    assert (grey[..., 0] == grey[..., 2]).all() and (colour[..., 0] != colour[..., 2]).any()
    assert sha256_of(tmp_path / "out/sheet.png")


def test_a_table_names_cases(tmp_path):
    arrays = [case(tmp_path / "data/deep", name, seed=n) for n, name in enumerate(("p1", "p2"))]
    table = tmp_path / "data/cases.csv"
    table.write_text("case,a,mask,note\nfirst,deep/p1/a.npy,deep/p1/mask.npy,x\n,deep/p2/a.npy,deep/p2/mask.npy,\n")
    files = Double(MASKED, Masked)([], tmp_path / "out", manifest=table)
    assert [file.name for file in files] == ["first.npy", "a.npy"]
    for file, array in zip(files, arrays, strict=True):
        assert np.array_equal(np.load(file).squeeze(), np.where(left(array.shape), array, 1000 - array))
    channels = {"channels": ["T1", "T2"], **RANGE}
    table.write_text("case,a.T2,a.T1\nboth,deep/p2/a.npy,deep/p1/a.npy\n")
    [file] = Double({"a": channels, "b": channels})([], tmp_path / "stack", manifest=table)
    assert np.array_equal(np.load(file).squeeze(), np.stack(arrays))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,b\nx,deep/p1/a.npy\n", "there is no column 'a'"),
        ("case,a\nx,nowhere.npy\n", "line 2 names .*nowhere.npy, which is not there"),
        ("case,a\nx,\n", "line 2 has no file of 'a'"),
        ("case,a\nx,deep/p1/a.npy\nx,deep/p1/a.npy\n", "two rows are called x"),
        ("case,a\n", "there is no row in it"),
        ("case,a.T3\nx,deep/p1/a.npy\n", "has the columns a.T3, and a the channels"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    case(tmp_path / "deep", "p1")
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        Double(MASKED)([], tmp_path / "out", manifest=tmp_path / "cases.csv")
    assert not (tmp_path / "out").exists()


def test_one_case_is_found_by_its_folder_or_its_first_file(tmp_path):
    """With its mask, and without its neighbours or its truth."""
    array = case(tmp_path / "in", "p1")
    case(tmp_path / "in", "p2")
    np.save(tmp_path / "in/p1/b.npy", array)
    run = Double(MASKED, Masked, files=FILES)
    for number, given in enumerate((tmp_path / "in/p1", tmp_path / "in/p1/a.npy")):
        [file] = run(given, tmp_path / f"out{number}")
        assert file.name == "p1.npy"
        assert np.array_equal(np.load(file).squeeze(), np.where(left(array.shape), array, 1000 - array))
    (tmp_path / "in/p1/a.npy").rename(tmp_path / "alone.npy")
    assert Double(MASKED, files=FILES)(tmp_path / "alone.npy", tmp_path / "out")[0].name == "alone.npy"


def test_two_cases_of_one_name_are_refused(tmp_path):
    """Those of sub-folders are called by both names."""
    for name in ("x_y.npy", "x/y.npy"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "in" / name, np.zeros((8, 8), np.int16))
    with pytest.raises(DataError, match="two inputs are called x_y"):
        Double({"a": RANGE, "b": RANGE})(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in/x_y.npy").unlink()
    [file] = Double({"a": RANGE, "b": RANGE})(tmp_path / "in", tmp_path / "out")
    assert file.name == "x_y.npy"
