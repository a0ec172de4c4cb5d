"""`forge translate` and `forge export`."""

import json
import re

import pytest
from pictures import pixels


def test_the_command(forge, munit_run, image, tmp_path):
    code, out, err = forge("translate", munit_run, image.parent, "--out", tmp_path / "out", "--device", "cpu")
    assert (code, out) == (0, f"4 images and {tmp_path / 'out/sheet.png'}\n")
    assert "munit_synthetic after 1 steps" in err and "1/1 images" in err
    assert len(list((tmp_path / "out").iterdir())) == 5
    code, out, _ = forge("translate", munit_run, image, "--out", tmp_path / "out", "--styles", 2, "--json")
    facts = json.loads(out)
    assert (code, facts["sheet"]) == (0, str(tmp_path / "out/sheet.png"))
    assert facts["files"] == [str(tmp_path / f"out/shoe-0{n}.png") for n in (0, 1)]


@pytest.mark.parametrize("statistics", ["exact", "sample"])
def test_tiles_of_the_command(forge, munit_run, image, tmp_path, statistics):
    options = ["--tile", 64, "--tile-statistics", statistics, "--styles", 1, "--out", tmp_path / "out"]
    code, out, err = forge("translate", munit_run, image, *options)
    assert code == 0 and out.startswith("1 images"), err


def test_export(forge, munit_run, pix2pix_run, tmp_path):
    code, out, err = forge("export", munit_run, "--out", tmp_path / "program.pt2")
    assert code == 0, err
    assert "source N,3,H,W and random_style N,8; H and W multiples of 4, at least 8" in out
    assert re.search(r"largest difference \d\S+, of 1x3x8x8, ", out)
    for run, dim in ((pix2pix_run, 0), (munit_run, 8)):
        facts = json.loads(forge("export", run, "--out", tmp_path / "program.pt2", "--json")[1])
        assert facts["code_dim"] == dim and facts["difference"] < 1e-4 and facts["step"] == 1
    assert forge("export", munit_run, "--out", tmp_path / "no.pt2", "--route", "abc")[0] == 2
    assert forge("export", tmp_path / "nothing", "--out", tmp_path / "no.pt2")[0] == 5
    assert forge("export", munit_run, "--out", tmp_path / "program.pt2/no.pt2")[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["program.pt2"]


def test_the_other_route(forge, munit_run, image, tmp_path):
    for route in ("ab", "ba"):
        assert forge("translate", munit_run, image, "--out", tmp_path / route, "--route", route)[0] == 0
    assert (tmp_path / "ab/shoe-00.png").read_bytes() != (tmp_path / "ba/shoe-00.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("RUN", "nowhere.png"), 4, "nowhere.png: there is no such file or folder"),
        (("nowhere", "IMAGE"), 5, "nowhere: there is no run here"),
        (("IMAGE", "IMAGE"), 5, "there is no run here"),
        (("RUN", "IMAGE", "--reference", "none.png"), 4, "none.png"),
        (("RUN", "IMAGE", "--reference", "TEXT"), 4, "not_an_image.png"),
        (("RUN", "TEXT"), 4, "not_an_image.png"),
        (("RUN", "EMPTY"), 4, "no image in"),
        (("RUN", "IMAGE", "--route", "abc"), 2, "there is no route 'abc'"),
        (("RUN", "IMAGE", "--styles", "2", "--interpolate", "3"), 2, "--styles goes with neither"),
        (("RUN", "IMAGE", "--styles", "0"), 2, "0 is not in the range"),
        (("RUN", "IMAGE", "--interpolate", "1"), 2, "1 is not in the range"),
        (("RUN", "IMAGE", "--device", "gpu7"), 2, "--device gpu7"),
        (("RUN",), 2, "Missing argument 'INPUT...'"),
        (("RUN", "IMAGE", "--out", "IMAGE"), 2, "cannot be written"),
    ],
)
def test_mistakes(forge, munit_run, image, tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "not_an_image.png").write_text("<html>")
    places = {"RUN": munit_run, "IMAGE": image, "EMPTY": tmp_path / "empty", "TEXT": tmp_path / "not_an_image.png"}
    given = [places.get(argument, argument) for argument in arguments]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out"]
    got, stdout, err = forge("translate", *given, *out)
    assert (got, stdout) == (code, "")
    assert words in err
    assert "Traceback" not in err and "unexpected" not in err
    assert not (tmp_path / "out").exists()


def test_a_deterministic_method_has_one_translation(forge, pix2pix_run, image, tmp_path):
    code, out, err = forge("translate", pix2pix_run, image, "--out", tmp_path / "out")
    assert code == 0, err
    assert out.startswith("1 images and ")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {"shoe-00.png", "sheet.png"}
    assert pixels(tmp_path / "out/sheet.png").shape[1] == 2 * (128 + 4) + 4


@pytest.mark.parametrize("option", [("--styles", 3), ("--interpolate", 3), ("--reference", "IMAGE")])
def test_it_has_no_styles(forge, pix2pix_run, image, tmp_path, option):
    given = [image if part == "IMAGE" else part for part in option]
    code, out, err = forge("translate", pix2pix_run, image, "--out", tmp_path / "out", *given)
    assert (code, out) == (2, "")
    assert "Pix2pix is deterministic" in err and "leave out --styles" in err
