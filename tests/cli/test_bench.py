"""`forge bench` measures what it says; its numbers are not asserted."""

import re
from importlib import metadata
from importlib.metadata import EntryPoint

import pytest
from shrink import small

from i2i_forge.study import bench_steps, speed


@pytest.fixture(autouse=True)
def small_products(monkeypatch):
    """The ceiling is that of small products: seconds are saved."""
    monkeypatch.setattr(speed, "SIDE", 256)


@pytest.fixture
def no_processes(monkeypatch):
    """Memory is not measured, which takes a process for each row."""
    monkeypatch.setattr(speed, "in_a_process", lambda *_: 2**20)


def test_a_small_step_of_a_method_is_measured(forge, tmp_path):
    tiny = ["data.size=64", "data.batch=1", *small(encoder="blocks=1", decoder="", discriminator="")]
    options = [word for change in tiny for word in ("--set", change)]
    code, out, err = forge("bench", "cyclegan_horse2zebra", *options, "--rounds", "1", "--device", "cpu",
                           "--out", tmp_path)  # fmt: skip
    assert code == 0, err
    (file,) = tmp_path.glob("speed-*-cpu.md")
    assert file.read_text().strip() == out.strip()
    rows = re.findall(r"^\| ([a-z0-9_ ,]+) \| ([0-9.]+) \| ([0-9.]+) \|", out, re.MULTILINE)
    ways = [
        f"{precision}{switch}" for switch in ("", ", channels_last", ", recompute") for precision in ("fp32", "bf16")
    ]
    assert [name for name, *_ in rows] == ["plain step, fp32", *ways]
    assert rows[0][2] == "1.00" and all(float(seconds) > 0 for _, seconds, _ in rows)
    assert "GFLOP/s" in out and "convolutions and products" in out and "command: `forge" in out


def test_a_recipe_without_a_plain_step_is_named(forge):
    code, _, err = forge("bench", "cyclegan_horse2zbra")
    assert code == 2 and "did you mean 'cyclegan_horse2zebra'?" in err


def test_a_row_that_is_not_measured_is_named(forge):
    code, _, err = forge("bench", "cyclegan_horse2zebra", "--device", "cpu", "--row", "bf16, recomputed")
    assert code == 2 and "there is no 'bf16, recomputed'" in err and "; bf16, recompute" in err


def test_a_batch_that_a_method_cannot_take_is_left_out_and_said(forge):
    """BicycleGAN halves its batch; the other sizes are measured, memory too."""
    tiny = [
        "data.size=64",
        *small(encoder="levels=4", decoder="levels=4", code_encoder="", discriminator="", vae_discriminator=""),
    ]  # fmt: skip
    options = [word for change in tiny for word in ("--set", change)]
    code, out, err = forge("bench", "bicyclegan_edges2shoes", *options, "--rounds", "1", "--device", "cpu",
                           "--row", "fp32", "--row", "fp32", "--batch", "1", "--batch", "2")  # fmt: skip
    assert code == 0, err
    assert re.findall(r"^\| ([a-z0-9 ,]+) \| [0-9.]+ \|", out, re.MULTILINE) == ["plain step, fp32", "fp32"]
    assert "bicyclegan_edges2shoes data.batch=1 is left out:" in err
    assert "## bicyclegan_edges2shoes data.batch=2: 2 images in a step" in out


TINY_UNETS = ["data.batch=1", "networks.encoder.width=4", "networks.decoder.width=4", "networks.discriminator.width=4"]


@pytest.mark.parametrize(
    ("base", "beside", "rows"),
    [
        ("pix2pix_synthetic", "pix2pix_facades", ["plain step, fp32", "fp32"]),
        ("cyclegan_noise_synthetic", "itself", ["fp32"]),  # there is no plain step of this method
    ],
)
def test_a_recipe_of_ones_own_is_compared(forge, tmp_path, no_processes, base, beside, rows):
    own = tmp_path / "own.yaml"
    own.write_text(f"base: {base}\ndata: {{use: unpaired_folders, root: nowhere, paired: ~, size: [64, 128]}}\n")
    options = [word for change in TINY_UNETS for word in ("--set", change)]
    code, out, err = forge("bench", own, *options, "--rounds", "1", "--device", "cpu", "--row", "fp32")
    assert code == 0, err
    found = re.findall(r"^\| ([a-z0-9 ,]+) \| [0-9.]+ \| ([0-9.]+) \|", out, re.MULTILINE)
    assert [name for name, _ in found] == rows and found[0][1] == "1.00"
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


def test_the_mistakes_of_a_recipe_of_ones_own_are_told(forge, tmp_path):
    (tmp_path / "own.yaml").write_text("base: pix2pix_synthetic\nstps: 3\n")
    code, _, err = forge("bench", tmp_path / "own.yaml", "--device", "cpu")
    assert code == 3 and "own.yaml:2:1" in err and "stps" in err
