"""`forge ablate` as a user types it."""

import json
import shlex
from pathlib import Path

import pytest
from shrink import small

from i2i_forge.recipe.reading import read_recipe

SMALL = (
    "data.test_count=2", "data.batch=1", "data.workers=0", "run.sample_inputs=1", "run.sample_styles=1",
    *small(content_encoder="", style_encoder="", decoder="", discriminator=""),
)  # fmt: skip
SET = [word for change in SMALL for word in ("--set", change)]
QUICK = ("--metric", "structure", "--inputs", "2", "--samples", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_dry_run_says_what_each_variant_saves_and_makes_nothing(forge, tmp_path):
    code, out, err = forge("ablate", "munit_synthetic", "--drop", "generator.style", "--grid",
                           "generator.image.weight=1,10", "--seeds", "2", "--dry-run")  # fmt: skip
    assert code == 0, err
    assert "2: style_encoder.a 1, style_encoder.b 1" in out
    assert "generator.recovered_style" in out
    assert "generator.image.weight=1 " in out and "weight=10" not in out
    assert "6 runs (2 of each), 1,000 steps each, in studies/munit_synthetic" in out
    assert "measured: lpips-diversity allpairs/1" in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json(forge):
    code, out, _ = forge("ablate", "munit_synthetic", "--drop", "generator.image", "--dry-run", "--format", "json")
    assert code == 0
    full, no_image = json.loads(out)
    assert (full["name"], full["network_calls"], full["calls_saved"]) == ("full", 18, 0)
    assert no_image["calls_saved_by_network"] == {
        "decoder.a": 1, "decoder.b": 1, "style_encoder.a": 1, "style_encoder.b": 1,
    }  # fmt: skip
    assert no_image["tensors_pruned"] == ["generator.reconstruction", "generator.style"]
    graph = json.loads(forge("show", "munit_synthetic", "--drop", "generator.image", "--graph", "--json")[1])
    assert graph["network_calls"] == no_image["network_calls"] == 14
    assert "image" not in no_image["resolved"]["phases"]["generator"]["minimize"]


def test_commands_of_a_dry_run_make_its_runs_and_a_study_fails_where_a_run_fails(forge):
    study = ("ablate", "munit_synthetic", *SET, "--drop", "generator.style", "--grid", "data.count=0", "--steps", "1",
             *QUICK, "--out", "s t")  # fmt: skip
    code, out, err = forge(*study, "--dry-run", "--format", "shell")
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 3
    train, measure = (shlex.split(part) for part in lines[1].split(" && "))
    assert train[:3] == ["forge", "train", "munit_synthetic"] and measure[:2] == ["forge", "eval"]
    assert forge(*train[1:])[0] == 0
    assert forge(*measure[1:])[0] == 0
    code, out, err = forge(*study, "--jobs", "2")
    assert code == 1
    assert "1 of 3 runs are done already" in err and "full/seed-0: done" in err
    folder = Path("s t")
    assert read_recipe(folder / "no-generator.style/no-generator.style.yaml").steps == 1
    assert "1 of 3 runs failed: data.count=0 seed 0" in err and "same command again" in err
    assert "data.count=0, seed 0: failed, exit code 4: error: procedural_shoes: count is 0" in out
    assert "structure: higher is better, edges/1, 2 x 2, pixels" in out
    table = json.loads((folder / "table.json").read_text())
    assert [row["seeds"] for row in table["rows"]] == [[0], [0], []]
    assert "error: procedural_shoes" in (folder / "data.count=0/seed-0.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("munit_synthetic", "--drop", "generator.stile"), 2, "did you mean 'generator.style'"),
        (("munit_syntetic",), 3, "did you mean 'munit_synthetic'"),
        (("munit_table1", "--drop", "generator.style"), 2, "with its own variants"),
        (("munit_synthetic", "--metric", "fod"), 6, "did you mean 'fid'"),
        (("munit_synthetic", "--protocol", "munit-2081"), 2, "did you mean 'munit-2018"),
        (("munit_synthetic",), 4, "forge weights get alexnet"),
        (("munit_synthetic", "--metric", "cis"), 2, "forge classifier train"),
        (("munit_synthetic", "--grid", "data.size=16"), 3, "row 'data.size=16' does not fit together"),
        (("munit_synthetic", "--slurm", "slurm_partition=gpu"), 2, "--slurm goes with --launcher slurm"),
        (("munit_synthetic", "--launcher", "slurm", "--slurm", "gpu"), 2, "KEY=VALUE"),
    ],
)
def test_mistakes_are_said_before_anything_is_trained(forge, arguments, code, says, tmp_path):
    found, out, err = forge("ablate", *arguments, "--device", "cpu")
    assert (found, out) == (code, "")
    assert says in err
    assert not list(tmp_path.glob("**/seed-*"))


def test_a_studys_file_is_checked_with_every_mistake(forge, tmp_path):
    (tmp_path / "s.yaml").write_text("study: s\nruns: {a: {recipe: munit_synthetic}}\nseedz: 1\nmetrics: {fod: 3}\n")
    code, _, err = forge("ablate", "s.yaml")
    assert code == 3
    assert "s.yaml:3:1: seedz" in err and "s.yaml:4:11: metrics.fod" in err


@pytest.mark.slow
def test_table_1_runs_end_to_end(forge, tmp_path):
    code, out, err = forge("ablate", "munit_table1", "--steps", "20", "--seeds", "1", "--backbone", "random",
                           "--inputs", "4", "--samples", "2", "--jobs", "2", "--device", "cpu")  # fmt: skip
    assert code == 0, err
    table = json.loads((tmp_path / "studies/munit_table1/table.json").read_text())
    assert len(table["rows"]) == 8 and all(row["seeds"] == [0] for row in table["rows"])
    by_name = {row["name"]: row for row in table["rows"]}
    for row in by_name.values():
        assert set(row["cells"]) == {"lpips_diversity", "cis", "is", "kid", "structure"}
    assert by_name["munit_no_style"]["calls_saved"] == 2 and by_name["munit_no_image"]["calls_saved"] == 4
    for name in ("unit", "cyclegan"):
        assert by_name[name]["cells"]["lpips_diversity"]["mean"] == by_name[name]["cells"]["cis"]["mean"] == 0
    assert {"lpips_diversity", "cis", "is"} <= set(table["real"])
    assert "real images" in out
