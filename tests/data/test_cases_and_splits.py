"""Cases found by patterns of names, their groups, and how they are split."""

import json
import logging
from pathlib import Path

import pytest
from described import FILES

from i2i_forge.data.cases import Case, find_cases, folder_cases
from i2i_forge.data.splits import split_cases
from i2i_forge.errors import DataError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"0")
    return root


def found(root, **files):
    """Name, group and files below root, of each case."""
    files = {name: [stack] if isinstance(stack, str) else stack for name, stack in files.items()}
    return [
        (c.name, c.group, {n: [p.relative_to(root).as_posix() for p in s] for n, s in c.files.items()})
        for c in find_cases(root, files)
    ]


def test_placeholders_tell_cases_apart_in_natural_order(tmp_path):
    touch(tmp_path, "10/mr.nii", "10/ct.nii", "9/mr.nii", "9/ct.nii", ".hidden/mr.nii", "9/other.nii")
    assert found(tmp_path, a="{case}/mr.nii", b="{case}/ct.nii") == [
        (n, n, {"a": [f"{n}/mr.nii"], "b": [f"{n}/ct.nii"]}) for n in ("9", "10")
    ]


@pytest.mark.parametrize(
    ("names", "pattern", "cases"),
    [
        (["x/x_t1.nii", "x/y_t1.nii"], "{case}/{case}_t1.nii", [("x", "x")]),
        (
            ["s1/r_44_p101.tif", "s1/r_44_p7.tif"],
            "s1/{subject}_{tile}.tif",
            [("r_44_p7", "r_44"), ("r_44_p101", "r_44")],
        ),
        (["p1/2020/a.mha", "p1/2021/a.mha"], "{subject}/{visit}/*.mha", [("p1_2020", "p1"), ("p1_2021", "p1")]),
        (["p1/c1.mha", "p2/c2.mha"], "{subject}/{case}.mha", [("c1", "p1"), ("c2", "p2")]),
        (["a+b (1).png"], "{case} (1).png", [("a+b", "a+b")]),
        (["{1}/x.png"], "{1}/{case}.png", [("x", "x")]),
        (["größe/1.png"], "{größe}/1.png", [("größe", "größe")]),
        (["deep/er/1.png", "1.png"], "*/*/{case}.png", [("1", "1")]),
        (["series/a.dcm"], "{case}", [("series", "series")]),
    ],
)
def test_patterns(tmp_path, names, pattern, cases):
    touch(tmp_path, *names)
    assert [(name, group) for name, group, _ in found(tmp_path, a=pattern)] == cases


def test_a_stack_keeps_its_order(tmp_path):
    touch(tmp_path, "x/x_t2.nii", "x/x_t1.nii")
    stack = found(tmp_path, a=["{case}/{case}_t2.nii", "{case}/{case}_t1.nii"])[0][2]["a"]
    assert stack == ["x/x_t2.nii", "x/x_t1.nii"]


@pytest.mark.parametrize(
    ("names", "files", "words"),
    [
        (["1/a.png"], {"a": "{case}/b.png"}, r"data.files.a: nothing below .* is named \{case\}/b.png"),
        (["1/a.png", "1/b.png"], {"a": "{case}/*.png"}, r"\{case\}/\*.png is both .*1/a.png and .*1/b.png"),
        (
            ["1/a.png", "1/b.png"],
            {"a": "{case}/a.png", "b": "{id}/b.png"},
            r"data.files.b: .* the placeholders \['id'\]",
        ),
        (
            ["1/a.png", "1/b.png", "2/a.png"],
            {"a": "{case}/a.png", "b": "{case}/b.png"},
            "1 of 2 cases miss files: 2 has no b",
        ),
        (["x/1.png", "y/1.png"], {"a": "{subject}/{case}.png"}, "x/1.png and .*y/1.png are both case 1"),
    ],
)
def test_what_is_no_case_is_refused(tmp_path, names, files, words):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=words) as error:
        found(tmp_path, **files)
    assert error.value.fix


def test_the_first_five_that_miss_files_are_named_and_may_be_left_out(tmp_path, caplog):
    touch(tmp_path, *(f"{n}/a.png" for n in range(9)), "0/b.png", "1/b.png")
    files = {"a": ["{case}/a.png"], "b": ["{case}/b.png"]}
    with pytest.raises(DataError, match="7 of 9 cases miss files") as error:
        find_cases(tmp_path, files)
    assert error.value.message.count("has no b") == 5
    with caplog.at_level(logging.WARNING):
        assert [case.name for case in find_cases(tmp_path, files, "skip")] == ["0", "1"]
    assert "7 of 9 cases miss files" in caplog.text
    with pytest.raises(DataError, match="there is no such folder"):
        find_cases(tmp_path / "none", files)


def test_links_that_lead_back_end(tmp_path):
    touch(tmp_path, "data/1/a.png")
    (tmp_path / "data/1/back").symlink_to(tmp_path / "data")
    (tmp_path / "data/2").symlink_to(tmp_path / "data/1")
    assert [name for name, *_ in found(tmp_path / "data", a="{case}/a.png")] == ["1", "2"]


def test_files_of_folders_pair_by_name_whatever_their_endings(tmp_path):
    touch(tmp_path, "a/s1_2.png", "a/s1_10.png", "a/notes.txt", "b/s1_2.TIF", "b/s1_10.tif")
    folders = {name: tmp_path / name for name in "ab"}
    pairs = folder_cases(folders, FILES.ending)
    assert [(c.name, c.group, [p[0].name for p in c.files.values()]) for c in pairs] == [
        ("s1_2", "s1_2", ["s1_2.png", "s1_2.TIF"]), ("s1_10", "s1_10", ["s1_10.png", "s1_10.tif"])
    ]  # fmt: skip
    assert {case.group for case in folder_cases(folders, FILES.ending, "{subject}_*")} == {"s1"}
    assert {case.group for case in folder_cases(folders, FILES.ending, "s{subject}_{tile}.*")} == {"1"}
    for names, words in (
        (["a/s1_2.jpg"], "s1_2.(png|jpg) and .*s1_2.(png|jpg) have one name"),
        (["b/odd.tif"], "1 files have no partner: .*odd.tif"),
        (["c/x.txt"], "no file in it can be read as an image"),
    ):
        touch(tmp_path, *names)
        named = {name: tmp_path / name for name in ("c" if "c/" in names[0] else "ab")}
        with pytest.raises(DataError, match=words):
            folder_cases(named, FILES.ending)
        (tmp_path / names[0]).unlink()
    with pytest.raises(DataError, match=r"data.group: .*s1_2.png does not match it"):
        folder_cases(folders, FILES.ending, "{subject}-*")


CASES = [Case(f"c{n}", f"g{n // 2}", {"a": (Path(f"c{n}.png"),)}) for n in range(24)]  # 12 groups of two


def parts_of(split, root=Path(), cases=CASES):
    parts = split_cases(cases, split, root)
    return [case.name for case in parts["test"]], len(parts["train"])


def test_a_share_is_that_of_the_last_groups(tmp_path):
    assert parts_of({"test": 0.15}) == (["c20", "c21", "c22", "c23"], 20)  # two of twelve
    assert parts_of({"test": 0.01}) == (["c22", "c23"], 22)
    assert parts_of({})[1] == 24 and len(parts_of({})[0]) == 24


def test_a_table_names_the_split_or_the_fold(tmp_path):
    rows = "".join(f"c{n},{['train', 'val', 'test'][n // 8]},{n // 2 % 3}\n" for n in range(24))
    (tmp_path / "cases.csv").write_text("\ufeffcase,split,fold\n" + rows)
    assert parts_of({"list": "cases.csv"}, tmp_path) == ([f"c{n}" for n in range(8, 24)], 8)
    assert parts_of({"list": "cases.csv", "fold": 1}, tmp_path)[0] == [f"c{n}" for n in range(24) if n // 2 % 3 == 1]
    (tmp_path / "some.csv").write_text("case,split,subject\nc0,train,x\nc1,test,y\n")
    assert parts_of({"list": "some.csv"}, tmp_path) == (["c1"], 1)  # the group of the table counts


def test_folds_as_nnunet_writes_them(tmp_path):
    folds = [{"train": ["c0", "c1", "c2"], "val": ["c4"]}, {"train": ["c4", "c5"], "val": ["c0", "c1"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    assert parts_of({"list": "splits_final.json", "fold": 0}, tmp_path) == (["c4"], 3)
    assert parts_of({"list": "splits_final.json", "fold": 1}, tmp_path) == (["c0", "c1"], 2)


@pytest.mark.parametrize(
    ("split", "table", "words"),
    [
        *(({"test": share}, "", "is no split") for share in (0, 1, 2, 0.0, 1.5, True, "x", None)),
        ({"train": "x", "share": 0.1}, "", "is no split"),
        ({"tset": 0.1}, "", "is no split"),
        ({"list": "t.csv", "fold": -1}, "case,fold\nc0,0\n", "is no split"),
        ({"list": "t.csv", "fold": "0"}, "case,fold\nc0,0\n", "is no split"),
        ({"list": "t.csv"}, "case,split\nc99,train\n", "there is no case 'c99'"),
        ({"list": "t.csv"}, "case,split\nc0,training\n", "case c0 is in 'training', which is no split"),
        ({"list": "t.csv"}, "case,split\nc0\n", "case c0 is in '', which is no split"),
        ({"list": "t.csv"}, "case,split\nc0,train\nc0,test\n", "case c0 is in train and in test"),
        ({"list": "t.csv"}, "case,split\nc0,train\nc1,test\n", "group g0 is in train and in test: c0.png and c1.png"),
        ({"list": "t.csv"}, "case,split\nc0,train\n", "no case is left for test"),
        ({"list": "t.csv"}, "case,fold\nc0,0\n", "it has no column split"),
        ({"list": "t.csv", "fold": 0}, "case,split\nc0,train\n", "it has no column fold"),
        ({"list": "t.csv"}, "", "t.csv: is empty"),
        ({"list": "t.csv"}, "name;split", "it has no column case and no column split"),
        ({"list": "../none.csv"}, "", "none.csv: does not exist"),
        ({"list": "t.csv", "fold": 7}, "case,fold\nc0,0\n", "no case is left for test"),
        ({"list": "t.json", "fold": 1}, '[{"train": ["c0"]}]', "there is no fold 1"),
        ({"list": "t.json"}, '{"train": ["c0"]}', "there is no fold 0"),
        ({"list": "t.json"}, "[", "there is no fold 0"),
        ({"list": "t.json"}, "[[]]", "there is no fold 0"),
        ({"list": "t.json"}, '[{"train": ["c0"], "val": ["c1"]}]', "group g0 is in train and in test"),
        ({"list": "t.json"}, '[{"train": [["c0"]]}]', "there is no case"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, split, table, words):
    (tmp_path / split["list"]).write_text(table) if str(split.get("list")).startswith("t.") else None
    with pytest.raises(DataError, match=words) as error:
        parts_of(split, tmp_path)
    assert error.value.fix
