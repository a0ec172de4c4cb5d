"""`forge eval` and `forge report` as a user types them."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from file_server import serving
from PIL import Image
from torchvision import models

from i2i_forge.measure.records import FILE, read
from i2i_forge.system.weights import MANIFEST

QUICK = ("--metric", "lpips-diversity", "--backbone", "random", "--inputs", "2", "--samples", "2", "--device", "cpu")


@pytest.fixture
def run(munit_run, tmp_path):
    """A copy of a run, to write records into."""
    return shutil.copytree(munit_run, tmp_path / "runs/munit")


@pytest.fixture
def no_style(munit_run, tmp_path):
    """Another run, of the same weights."""
    return shutil.copytree(munit_run, tmp_path / "runs/no_style")


def images(folder, inputs=3, draws=2, suffix="png"):
    for number in range(inputs):
        for draw in range(draws):
            file = folder / f"bag{number}/{draw}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((64, 64), 10 + 40 * draw + number).convert("RGB").save(file)
    return folder


def test_the_newest_run_is_measured_as_typed(forge, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = forge("eval", *QUICK)
    assert code == 0, err
    assert "runs/munit: munit_synthetic after 1 steps" in err
    for text in ("lpips_diversity", "allpairs/1", "higher is better", "(random weights)", "2 x 2"):
        assert text in out
    assert "note: uncalibrated" in out
    assert "note: not allpairs/1 as it is meant: 2 inputs instead of 100, 2 outputs per input instead of 20" in out
    (record,) = read(run / FILE)
    assert record.value > 0
    assert not record.backbone.is_calibrated and record.backbone.id.endswith("-random")


def test_the_same_command_gives_the_same_number(forge, run):
    for batch in (1, 3):
        assert forge("eval", run, *QUICK, "--batch", batch)[0] == 0
    first, second = read(run / FILE)
    assert first.value == pytest.approx(second.value, rel=1e-6)
    assert first.data == second.data and first.model == second.model


def test_json_is_the_record(forge, run):
    code, out, _ = forge("eval", run, *QUICK, "--json")
    assert code == 0
    assert json.loads(out) == [r.model_dump(mode="json", exclude_none=True) for r in read(run / FILE)]


def test_without_weights_the_error_has_the_command(forge, run):
    code, _, err = forge("eval", run, "--metric", "lpips-diversity", "--inputs", "2", "--device", "cpu")
    assert code == 4
    assert "fix: forge weights get alexnet; or `--backbone random` to try\n" in err
    assert len(err.strip().splitlines()) <= 6
    assert not (run / FILE).exists()


def test_a_run_that_is_not_there(forge, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = forge("eval")
    assert code == 5 and "there is no trained run" in err and "forge train munit_synthetic" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--metric", "lpips-diversty"), 6, "did you mean 'lpips-diversity'"),
        (("--protocol", "munit-2081"), 2, "did you mean 'munit-2018/1'"),
        (("--backbone", "vgg99"), 2, "vgg99"),
        (("--samples", "1"), 2, "--samples 2"),
        (("--real", "."), 2, "--real goes with --images"),
        (("--images", "."), 2, "leave one out"),
        (("--draws", "none"), 2, "--draws goes with --images"),
        (("--route", "ac"), 2, "there is no route 'ac'"),
        (("--metric", "cis"), 2, "forge classifier train"),
        (("--metric", "psnr"), 2, "psnr needs the true outputs"),
    ],
)
def test_mistakes_are_said_before_anything_is_made(forge, run, arguments, code, says):
    found, out, err = forge("eval", run, "--device", "cpu", *arguments)
    assert (found, out) == (code, "")
    assert says in err


def test_images_of_any_program(forge, tmp_path):
    folder = images(tmp_path / "out")
    code, _, err = forge("eval", "--images", folder, "--out", tmp_path / "here", "--backbone", "random")
    assert code == 0, err
    assert f"{folder}: 6 files of 3 inputs, by their names: 2 of each (--draws)" in err
    (record,) = read(tmp_path / "here" / FILE)
    assert record.data.grouping == "6 files of 3 inputs, by their names: 2 of each"
    assert (record.model.name, record.n.inputs, record.n.outputs_per_input) == ("out", 3, 2)
    assert record.preprocess.codec == "png" and record.preprocess.quantised
    assert record.value > 0


def test_the_list_has_every_metric_and_protocol(forge):
    code, out, _ = forge("eval", "--list")
    assert code == 0
    for text in ("munit-2018/1", "cis", "\nfid FID: the Frechet distance", "fid-clean", "100 x 38", "all x 1"):
        assert text in out
    assert "`collapsed_rate`, the share of inputs whose translations are nearly equal" in " ".join(out.split())
    listed = json.loads(forge("eval", "--list", "--json")[1])
    assert {"metric", "protocol", "inputs", "outputs", "about"} == set(listed[0])


# ---- report ------------------------------------------------------------------------------------------------------


def test_a_report_compares_runs(forge, run, no_style, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for one in (run, no_style):
        assert forge("eval", one, *QUICK)[0] == 0
    code, out, err = forge("report", "--baseline", "munit")
    assert code == 0, err
    assert "no_style" in out and "munit" in out and "allpairs/1" in out
    assert "+0.0000 (+0.0000 to +0.0000)" in out  # the same weights, inputs and noise
    (column,) = json.loads(forge("report", "--json", "--baseline", "munit")[1])
    assert column["rows"]["no_style"]["difference"] == [0.0, [0.0, 0.0]]


def test_what_must_not_be_compared_gets_a_column_of_its_own(forge, run):
    for samples in (2, 3):
        assert forge("eval", run, *QUICK, "--samples", samples)[0] == 0
    code, out, err = forge("report", run)
    assert code == 0
    assert "2 x 2" in out and "2 x 3" in out
    assert "lpips_diversity: 2 columns, because they differ in outputs per input" in err


def test_report_says_what_is_missing(forge, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = forge("report")
    assert code == 4 and "forge eval RUN" in err
    assert forge("eval", run, *QUICK)[0] == 0
    code, _, err = forge("report", "--metric", "fid")
    assert code == 2 and "there is: lpips_diversity" in err
    code, _, err = forge("report", "--baseline", "nobody")
    assert code == 2 and "one of: munit" in err
    code, _, err = forge("report", tmp_path / "nowhere.jsonl")
    assert code == 4 and "cannot be read" in err


# ---- with weights --------------------------------------------------------------------------------------------------


@pytest.fixture
def alexnet(monkeypatch, tmp_path):
    """A server that has a file in AlexNet's layout, which the manifest names as AlexNet's."""
    features = models.alexnet(weights=None).features.state_dict()
    torch.save({f"features.{name}": value for name, value in features.items()}, tmp_path / "alexnet.pth")
    body = (tmp_path / "alexnet.pth").read_bytes()
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with serving(body) as server:
        monkeypatch.setenv("FORGE_WEIGHTS_URL", server.url)
        entry = dataclasses.replace(MANIFEST["alexnet"], sha256=hashlib.sha256(body).hexdigest()[:8])
        monkeypatch.setitem(MANIFEST, "alexnet", entry)
        yield server


def test_with_weights_in_place_no_flag_is_needed(forge, run, alexnet):
    code, out, err = forge("weights", "get", "alexnet")
    assert code == 0, err
    code, out, err = forge("eval", run, "--metric", "lpips-diversity", "--inputs", "2", "--samples", "2")
    assert code == 0, err
    assert "random weights" not in out and "uncalibrated" not in out
    (record,) = read(run / FILE)
    assert record.backbone.is_calibrated and record.backbone.id == "lpips-alex-v0.1"


def test_a_file_with_the_wrong_hash_is_not_used(forge, run, alexnet, tmp_path):
    alexnet.body = alexnet.body[:-1] + b"?"
    code, _, err = forge("weights", "get", "alexnet")
    assert code == 4 and "SHA-256" in err
    file = tmp_path / "cache/weights/alexnet-owt-7be5be79.pth"
    assert not file.exists()
    file.write_bytes(alexnet.body)
    code, _, err = forge("eval", run, "--metric", "lpips-diversity", "--inputs", "2", "--samples", "2")
    assert code == 4 and "is not the published file" in err and "forge weights get alexnet" in err
    assert not (run / FILE).exists()


# ---- ranks -----------------------------------------------------------------------------------------------------------


def test_two_processes_measure_what_one_does(forge, run):
    assert forge("eval", run, *QUICK, "--metric", "lpips-diversity", "--metric", "cis", "--inputs", "3")[0] == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--no-python", sys.executable, "-m",
               "i2i_forge", "eval", run, *QUICK, "--metric", "cis", "--inputs", "3"]  # fmt: skip
    ended = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("lpips_diversity") == 1  # the first rank speaks
    diversity, cis, diversity_of_two, cis_of_two = read(run / FILE)
    for one, two in ((diversity, diversity_of_two), (cis, cis_of_two)):
        assert two.value == pytest.approx(one.value, rel=1e-6)
        assert (two.n, two.data) == (one.n, one.data)


# ---- data ------------------------------------------------------------------------------------------------------------


def test_a_run_is_measured_on_other_data_than_its_own(forge, run, pix2pix_run, tmp_path):
    paired = shutil.copytree(pix2pix_run, tmp_path / "runs/pix2pix")
    structure = ("--metric", "structure", "--inputs", "2", "--samples", "1", "--device", "cpu")
    assert forge("eval", run, *structure)[0] == 0
    assert forge("eval", paired, *structure)[0] == 0
    code, _, err = forge("eval", paired, *structure, "--data", "paired=false")
    assert code == 0, err
    (unpaired,), (own, common) = read(run / FILE), read(paired / FILE)
    assert common.data.list_sha256 == unpaired.data.list_sha256 != own.data.list_sha256
    assert common.data.options["paired"] is False
    code, _, err = forge("eval", paired, *structure, "--data", "paired")
    assert code == 2 and "--data size=128" in err
