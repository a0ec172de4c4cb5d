"""Faults shown through commands and calls alone, which versions before the faults were mended have too."""

import json
import re
import signal

import numpy as np
import pytest
from PIL import Image

from i2i_forge.cli import main
from i2i_forge_plugins.image_folders import PairedFolders, UnpairedFolders

TINY = (
    "data.workers=0", "run.log_every=1", "run.sample_inputs=1", "run.sample_styles=1",
    "networks.content_encoder.width=4", "networks.content_encoder.blocks=1", "networks.style_encoder.width=4",
    "networks.decoder.width=4", "networks.decoder.blocks=1", "networks.decoder.mlp_dim=8",
    "networks.discriminator.width=4", "networks.discriminator.scales=1", "networks.discriminator.layers=2",
)  # fmt: skip


@pytest.fixture
def forge(capsys):
    """Runs a command: (exit code, stdout, stderr)."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return ended.value.code, *capsys.readouterr()

    return call


def training(recipe, run, steps, *changes):
    """The command that trains a tiny run."""
    sets = [word for change in (*TINY, *changes) for word in ("--set", change)]
    return "train", recipe, "--run", run, "--device", "cpu", "--steps", steps, *sets


def images(folder, *seeds):
    """Images of 64x64; no two are equal."""
    folder.mkdir(parents=True)
    for seed in seeds:
        noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{seed}.png")


@pytest.mark.parametrize("dataset", [UnpairedFolders, PairedFolders])
def test_79_validation_images_are_test_images_in_both_layouts(tmp_path, dataset):
    images(tmp_path / "one/trainA", 1, 2)
    images(tmp_path / "one/trainB", 1, 2)
    images(tmp_path / "one/valA", 3)
    images(tmp_path / "one/valB", 3)
    images(tmp_path / "two/train", 1, 2)
    images(tmp_path / "two/val", 3)
    for folder, layout in (("one", "two_folders"), ("two", "side_by_side")):
        data = dataset(root=str(tmp_path / folder), size=32, layout=layout)
        for source in data.sources("test"):
            assert len(source) == 1 and f"{folder}/val" in source.name(0)


def test_79_a_record_of_training_images_says_so(forge, tmp_path):
    images(tmp_path / "mine/trainA", 1, 2)
    images(tmp_path / "mine/trainB", 3, 4)
    data = f"data={{use: unpaired_folders, root: {tmp_path / 'mine'}, size: 64, batch: 1, workers: 0}}"
    code, _, err = forge(*training("munit_synthetic", tmp_path / "run", 1, data))
    assert code == 0, err
    options = ("--metric", "structure", "--inputs", 2, "--samples", 2, "--device", "cpu", "--json")
    code, out, err = forge("eval", tmp_path / "run", *options)
    assert code == 0, err
    assert {record["data"]["split"] for record in json.loads(out)} == {"train"}


def test_81_check_says_that_steps_are_taken_at_rate_0(forge):
    schedule = "optimizers.default.schedule=linear(1, 0, steps=2)"
    code, out, err = forge("check", "munit_synthetic", "--set", schedule, "--set", "steps=4")
    assert (code, out.splitlines()[0]) == (0, "munit_synthetic: no mistakes")
    assert "every learning rate is 0 from step 2 of 4 on" in err


def test_81_rates_are_logged(forge, tmp_path):
    changes = ("optimizers.default.schedule=linear(1, 0, steps=2)", "optimizers.default.lr=0.5")
    assert forge(*training("munit_synthetic", tmp_path / "run", 2, *changes))[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line.get("rate.default") for line in lines] == [0.5, 0.25]


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_91_a_record_that_was_cut_costs_no_report(forge, munit_run, tmp_path, share):
    """Neither the next record, which is appended behind it, nor those before."""
    evaluating = ("eval", munit_run, "--metric", "structure", "--inputs", 2, "--samples", 2, "--device", "cpu")
    file = tmp_path / "results.jsonl"
    for _ in range(2):
        assert forge(*evaluating, "--out", tmp_path)[0] == 0
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second[: int(share * len(second))])
    code, _, err = forge(*evaluating, "--out", tmp_path)
    assert code == 0, err
    code, out, err = forge("report", tmp_path)
    assert code == 0, err
    assert "structure" in out and "results.jsonl:2: this line is cut off" in err
    assert file.read_bytes().splitlines(keepends=True)[0] == first


def test_91_a_list_is_split_at_line_feeds_alone(forge, tmp_path):
    """Images whose names hold what `str.splitlines` cuts at."""
    names = [f"{number}\u2028\x85.png" for number in range(3)]
    images(tmp_path / "images", *range(3))
    for number, name in enumerate(names):
        (tmp_path / f"images/{number}.png").rename(tmp_path / "images" / name)
    (tmp_path / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    lists = f"train_a: {tmp_path / 'list.txt'}, train_b: {tmp_path / 'list.txt'}"
    data = f"data={{use: image_lists, root: {tmp_path / 'images'}, {lists}, size: 64, batch: 1, workers: 0}}"
    code, _, err = forge("data", "preview", "munit_synthetic", "--set", data, "--out", tmp_path / "seen.png")
    assert code == 0, err


def test_92_the_name_of_a_recipe_never_becomes_yaml(forge, tmp_path):
    recipe = tmp_path / "x\nseed: 7 # .yaml"
    recipe.write_text("base: munit_synthetic\n")
    code, _, err = forge(*training(recipe, tmp_path / "run", 1))
    assert code == 0, err
    lines = (tmp_path / "run/resolved.yaml").read_text().split("\n")
    assert [line for line in lines if line.startswith("seed:")] == ["seed: 0"]
    code, _, err = forge("checkpoint", "verify", tmp_path / "run")
    assert code == 0, err


# A data worker that comes to the image 3.png holds the interpreter for ever; what waits for it has less patience.
HOLDING = """
import builtins, contextlib, io, multiprocessing, re
with contextlib.suppress(ImportError):
    from i2i_forge.data import watchdog
    watchdog.PATIENCE = 1.0
original = builtins.open
def opened(file, *arguments, **options):
    if str(file).endswith("3.png") and multiprocessing.parent_process() is not None:
        original({mark!r}, "w").close()
        re.match("(a+)+$", 60 * "a" + "b")
    return original(file, *arguments, **options)
builtins.open = io.open = opened  # the second is what Path.open calls
"""


def test_100_sigterm_ends_a_run_whose_worker_holds_the_interpreter(forge_watch, tmp_path):
    for folder in ("trainA", "trainB", "testA", "testB"):
        images(tmp_path / "photos" / folder, *range(1, 6))
    mark = tmp_path / "held"
    settings = {"steps": 8, "every": 2, "workers": 1, "data": tmp_path / "photos"}
    process = forge_watch.start_training(tmp_path / "run", inject=HOLDING.format(mark=str(mark)), **settings)
    forge_watch.wait_for(process, mark.exists)
    forge_watch.end(process, signal.SIGTERM, limit=30).refused(143, "everything is saved")


def test_another_setting_than_the_runs_names_how_to_begin_with_its_weights(forge, tmp_path):
    run = tmp_path / "run"
    assert forge(*training("munit_synthetic", run, 1))[0] == 0
    code, _, err = forge(*training("munit_synthetic", run, 2, "seed=3"))
    assert code == 5 and "seed: 0 there, 3 here" in err and f"--init-from {run}" in err


def test_train_says_early_how_long_the_run_will_take(forge, tmp_path):
    """A line after the first step, though one is logged every 1000 steps, then the time for all steps."""
    code, _, err = forge(*training("munit_synthetic", tmp_path / "run", 3, "run.log_every=1000"))
    assert code == 0, err
    assert "step 1/3" in err
    assert re.search(r"about \d+ seconds? on cpu", err), err
