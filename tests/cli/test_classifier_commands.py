"""forge classifier."""

import json

import pytest


@pytest.fixture
def train(forge, tmp_path):
    """Runs `forge classifier train` on a small data set of shoes."""

    def call(*arguments, data="procedural_shoes", out=tmp_path / "out"):
        sets = ("--set", "count=60", "--set", "test_count=10") if data == "procedural_shoes" else ()
        quick = ("--out", out, "--steps", 3, "--size", 16, "--device", "cpu")
        return forge("classifier", "train", data, *quick, *sets, *arguments)

    return call


def test_train_and_show(forge, train, tmp_path):
    code, out, err = train()
    assert code == 0, err
    assert "red_solid" in out and "temperature" in out and out.endswith(f"{tmp_path / 'out'}\n")
    assert "train: 5" in err and "step 3/3" in err and "step" not in out.splitlines()[-1]
    code, shown, _ = forge("classifier", "show", tmp_path / "out")
    assert code == 0 and "violet_diamonds" in shown and "seed 0" in shown
    code, text, _ = forge("classifier", "show", tmp_path / "out", "--json")
    card = json.loads(text)
    assert card["data"] == {"dataset": "procedural_shoes", "options": {"count": 60, "test_count": 10}}
    assert card["images"]["test"] == 10 and len(card["modes"]) == 8


def test_a_folder_that_data_make_wrote_holds_the_same_images(forge, train, tmp_path):
    sets = ("--set", "count=60", "--set", "test_count=10")
    assert forge("data", "make", "procedural_shoes", "--out", tmp_path / "shoes", *sets)[0] == 0
    _, drawn, _ = train("--json")
    code, read, err = train("--json", data=tmp_path / "shoes", out=tmp_path / "other")
    assert code == 0, err
    drawn, read = json.loads(drawn), json.loads(read)
    assert sorted(drawn["modes"]) == read["modes"] and drawn["images"]["test"] == read["images"]["test"] == 10
    assert read["data"] == {"folder": "shoes", "list": "modes.csv"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--set", "count"), 2, "--set count: this is not KEY=VALUE"),
        (("--size", "8"), 2, "size 8 is too small for small"),
        (("--network", "inception_v3", "--size", "75"), 4, "forge weights get inception_v3"),
        (("--set", "cuont=4"), 3, "cuont"),
        (("--device", "toaster"), 2, "--device toaster"),
    ],
)
def test_mistakes(train, tmp_path, arguments, code, words):
    got, out, err = train(*arguments)
    assert (got, out) == (code, ""), err
    assert words in err and "fix: " in err
    assert not (tmp_path / "out").exists()


def test_mistakes_in_folders(forge, train, tmp_path):
    assert train(data="nowhere")[0] == 4
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").touch()
    code, _, err = train()
    assert code == 2 and "something already" in err and "images" not in err  # before anything is trained
    code, _, err = forge("classifier", "show", tmp_path)
    assert code == 4 and "is not a classifier" in err
