"""`forge bench` measures what it says; its numbers are not asserted."""

import json
import re
from importlib import metadata
from importlib.metadata import EntryPoint

import pytest
from forked import printed_by
from shrink import small

from i2i_forge.study import bench_steps, speed
from i2i_forge.study.provenance import in_a_process

UNETS = ("encoder", "decoder", "discriminator")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The ceiling is that of small products, and the process of each row is a fork."""
    monkeypatch.setattr(speed, "SIDE", 256)
    monkeypatch.setattr(speed, "in_a_process", lambda *words: json.loads(printed_by(*words)))


def bench(forge, recipe, changes, *arguments):
    """Rows of the bench of one step each (name, seconds, ratio), what it prints and what it says."""
    options = [word for change in changes for word in ("--set", change)]
    code, out, err = forge("bench", recipe, *options, "--rounds", "1", "--device", "cpu", *arguments)
    assert code == 0, err
    return re.findall(r"^\| ([a-z0-9_ ,]+) \| ([0-9.]+) \| ([0-9.]+) \|", out, re.MULTILINE), out, err


def test_the_memory_of_a_row_is_measured_in_a_process_of_its_own():
    changes = ("data.size=64", *small(**dict.fromkeys(UNETS, "")))
    assert in_a_process("i2i_forge.study.speed", "pix2pix_synthetic", "fp32", "cpu", *changes) > 2**20


def test_a_small_step_of_a_method_is_measured(forge, tmp_path):
    tiny = ["data.size=64", "data.batch=1", *small(encoder="blocks=1", decoder="", discriminator="")]
    rows, out, _ = bench(forge, "cyclegan_horse2zebra", tiny, "--out", tmp_path)
    (file,) = tmp_path.glob("speed-*-cpu.md")
    assert file.read_text().strip() == out.strip()
    ways = [
        f"{precision}{switch}" for switch in ("", ", channels_last", ", recompute") for precision in ("fp32", "bf16")
    ]
    assert [name for name, *_ in rows] == ["plain step, fp32", *ways]
    assert rows[0][2] == "1.00" and all(float(seconds) > 0 for _, seconds, _ in rows)
    assert "GFLOP/s" in out and "convolutions and products" in out and "command: `forge" in out


def test_a_batch_that_a_method_cannot_take_is_left_out_and_said(forge):
    """BicycleGAN halves its batch; the other sizes are measured."""
    tiny = ["data.size=64", *small(**dict.fromkeys(UNETS[:2], "levels=4"), code_encoder="", discriminator="",
                                   vae_discriminator="")]  # fmt: skip
    rows, out, err = bench(forge, "bicyclegan_edges2shoes", tiny, "--row", "fp32", "--row", "fp32",
                           "--batch", "1", "--batch", "2")  # fmt: skip
    assert [name for name, *_ in rows] == ["plain step, fp32", "fp32"]
    assert "bicyclegan_edges2shoes data.batch=1 is left out:" in err
    assert "## bicyclegan_edges2shoes data.batch=2: 2 images in a step" in out


@pytest.mark.parametrize(
    ("base", "beside", "names"),
    [
        ("pix2pix_synthetic", "pix2pix_facades", ["plain step, fp32", "fp32"]),
        ("cyclegan_noise_synthetic", "itself", ["fp32"]),  # there is no plain step of this method
    ],
)
def test_a_recipe_of_ones_own_is_compared(forge, tmp_path, base, beside, names):
    own = tmp_path / "own.yaml"
    own.write_text(f"base: {base}\ndata: {{use: unpaired_folders, root: nowhere, paired: ~, size: [64, 128]}}\n")
    tiny = ["data.batch=1", *small(**dict.fromkeys(UNETS, ""))]
    rows, out, _ = bench(forge, own, tiny, "--row", "fp32")
    assert [name for name, *_ in rows] == names and rows[0][2] == "1.00"
    assert f"## {own} (beside {beside}): 1 image in a step" in out


def test_a_package_whose_plain_steps_cannot_be_imported_is_named(forge, monkeypatch):
    broken, points = EntryPoint("broken", "no_such_package.table:STEPS", "i2i_forge.plain_steps"), metadata.entry_points
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [broken] if group == broken.group else points(group=group)
    )
    bench_steps.plain_steps.cache_clear()
    code, _, err = forge("bench", "cyclegan_horse2zebra", "--device", "cpu")
    bench_steps.plain_steps.cache_clear()
    assert code == 6 and err.count("error:") == 1
    assert "the plain steps 'broken' (no_such_package.table:STEPS) cannot be imported: ModuleNotFoundError" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("cyclegan_horse2zbra",), 2, ("did you mean 'cyclegan_horse2zebra'?",)),
        (("cyclegan_horse2zebra", "--row", "bf16, recomputed"), 2, ("no 'bf16, recomputed'", "; bf16, recompute")),
        (("own.yaml",), 3, ("own.yaml:2:1", "stps")),
    ],
)
def test_mistakes_are_told(forge, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("base: pix2pix_synthetic\nstps: 3\n")
    found, _, err = forge("bench", *arguments, "--device", "cpu")
    assert found == code and all(words in err for words in says)
