"""A study in its folder: interrupted anywhere, it ends with the same table; a failure stops no other run."""

import json
import os
import shutil
import signal
import time

import pytest
from forked import start_forge
from tiny_studies import TINY, InProcess, Stopped, place_of, tiny_plan, variants_of

from i2i_forge.errors import CheckpointError
from i2i_forge.measure.records import FILE, read
from i2i_forge.study.study import run_study
from i2i_forge.study.variants import run_folder


def run(plan, folder, catalog, launch):
    return run_study(plan, variants_of(plan), place_of(folder), catalog, launch)


def numbers(folder):
    """The table without what a clock says."""
    table = json.loads((folder / "table.json").read_text())
    for row in table["rows"]:
        del row["seconds_per_step"], row["seconds_saved"]
    return table


@pytest.fixture(scope="module")
def straight(catalog, tmp_path_factory):
    """A study of two runs that nothing stopped: its folder, and what ran."""
    folder, launch = tmp_path_factory.mktemp("straight"), InProcess()
    run(tiny_plan(), folder, catalog, launch)
    return folder, launch.ran


def test_every_run_is_trained_measured_and_compared(straight):
    folder, ran = straight
    assert [words[0] for words in ran] == ["train", "eval"] * 2
    full, no_style = numbers(folder)["rows"]
    assert (full["name"], full["network_calls"], full["calls_saved"]) == ("full", 18, 0)
    assert (no_style["name"], no_style["network_calls"], no_style["calls_saved"]) == ("no-generator.style", 16, 2)
    record = read(run_folder(folder, variants_of(tiny_plan())[1]) / FILE)[0]
    cell = no_style["cells"]["structure"]
    assert cell["mean"] == record.value and cell["per_seed"] == {"0": record.value}
    assert cell["difference"] == pytest.approx(record.value - full["cells"]["structure"]["mean"])
    low, high = cell["interval"]
    assert low <= cell["difference"] <= high
    assert full["cells"]["structure"]["difference"] is None
    page = (folder / "table.md").read_text()
    assert (
        "| no-generator.style | 1 |" in page and "16<br>-2 |" in page and "structure: higher is better, edges/1" in page
    )


def test_stopped_after_every_command_it_ends_with_the_same_table(straight, catalog, tmp_path):
    ran = []
    for stop_after in (0, 1, 1, 1):
        launch = InProcess(stop_after)
        with pytest.raises(Stopped):
            run(tiny_plan(), tmp_path, catalog, launch)
        ran += launch.ran
    run(tiny_plan(), tmp_path, catalog, last := InProcess())
    ran = [[word.replace(str(tmp_path), str(straight[0])) for word in words] for words in [*ran, *last.ran]]
    assert ran == list(map(list, straight[1]))
    assert numbers(tmp_path) == numbers(straight[0])


def test_the_same_command_again_does_nothing_and_more_is_only_what_is_new(straight, catalog, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(straight[0], folder)
    again = InProcess()
    run(tiny_plan(), folder, catalog, again)
    assert again.ran == []
    assert numbers(folder) == numbers(straight[0])
    two = InProcess()
    table = run(tiny_plan(seeds=2), folder, catalog, two)
    assert [words[0] for words in two.ran] == ["train", "eval"] * 2
    assert [row.seeds for row in table.rows] == [[0, 1], [0, 1]]
    assert table.rows[1].cells["structure"].std is not None
    longer = InProcess()
    run(tiny_plan(drops=(), steps=2), folder, catalog, longer)
    assert [words[0] for words in longer.ran] == ["train", "eval"]
    with pytest.raises(CheckpointError, match="has taken 2 steps, the study has 1"):  # more is not passed off as less
        run(tiny_plan(drops=()), folder, catalog, InProcess())


def test_a_run_that_fails_is_shown_and_the_others_go_on(straight, catalog, tmp_path):
    plan = tiny_plan(grids=["data.count=0"])  # the data set refuses it, which only the run finds out
    shutil.copytree(straight[0], tmp_path / "study")
    launch = InProcess()
    table = run(plan, tmp_path / "study", catalog, launch)
    failed = table.rows[2]
    assert failed.name == "data.count=0" and failed.seeds == [] and failed.cells == {}
    log = (tmp_path / "study/data.count=0/seed-0.log").read_text()
    assert failed.failed[0].startswith("exit code ") and failed.failed[0].split(": ", 2)[2] in log
    assert [row.seeds for row in table.rows[:2]] == [[0], [0]]
    page = (tmp_path / "study/table.md").read_text()
    assert "| data.count=0 | 0 of 1 | failed |" in page and "data.count=0, seed 0: failed, exit code" in page
    again = InProcess()
    run(plan, tmp_path / "study", catalog, again)
    assert [words[0] for words in again.ran] == ["train"]


def test_a_folder_with_runs_of_another_recipe_is_refused(straight, catalog, tmp_path):
    shutil.copytree(straight[0], tmp_path / "study")
    launch = InProcess()
    with pytest.raises(CheckpointError, match="another recipe than 'full'"):
        run(tiny_plan(changes=("data.batch=2",)), tmp_path / "study", catalog, launch)
    assert launch.ran == []


def test_records_of_other_counts_are_not_taken(straight, catalog, tmp_path):
    shutil.copytree(straight[0], tmp_path / "study")
    plan = tiny_plan()
    fewer = tiny_plan(asked=type(plan.asked)(("structure",), inputs=2, samples=2))
    launch = InProcess()
    table = run(fewer, tmp_path / "study", catalog, launch)
    assert [words[0] for words in launch.ran] == ["eval", "eval"]
    assert "2 x 2" in table.headings["structure"]
    assert "3 x 2" in run(plan, tmp_path / "study", catalog, InProcess(stop_after=0)).headings["structure"]


def test_a_killed_study_goes_on(straight, catalog, tmp_path):
    """SIGKILL to the command and what it started, as when the power fails."""
    changes = [word for change in TINY for word in ("--set", change)]
    process = start_forge(
        ["ablate", "munit_synthetic", *changes, "--drop", "generator.style", "--steps", 1, "--metric", "structure",
         "--inputs", 3, "--samples", 2, "--device", "cpu", "--out", tmp_path], tmp_path / "log",
    )  # fmt: skip
    first = tmp_path / "full/seed-0/checkpoints/step-00000001/MANIFEST.json"
    while not first.exists():
        assert process.is_alive(), (tmp_path / "log").read_text()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    launch = InProcess()
    run(tiny_plan(), tmp_path, catalog, launch)
    assert [words[:2] for words in launch.ran].count(("train", str(tmp_path / "full/full.yaml"))) == 0
    assert numbers(tmp_path)["rows"] == numbers(straight[0])["rows"]
