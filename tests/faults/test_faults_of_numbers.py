"""Faults of numbers: what is not finite is not applied and not saved, and what explodes is noticed."""

import json
import math

import pytest
import torch
from at_step import LATE, WEIGHT, at_step, term
from loaded import CATALOG
from shrink import TINY_MUNIT

from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import forecast
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.loop import Run
from i2i_forge.run.streams import build_streams

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("value", "judged"), [("nan", ""), pytest.param("inf", "", marks=slow), ("nan", LATE)], ids=["nan", "inf", "late"]
)
def test_55_a_loss_that_is_not_finite(forge_watch, straight, tmp_path, value, judged):
    run = tmp_path / "run"
    ended = forge_watch.train(run, inject=judged + at_step(forge_watch, term("image", "ab", value)))
    ended.refused(7, f"not finite at step 3: generator/image/ab = {value}", "phase 'generator' was not updated",
                  "images of this step: ", f"forge checkpoint replay {run} --step 3")  # fmt: skip
    record = json.loads((run / "diverged.json").read_text())
    assert (record["step"], record["phase"], record["not_finite"][0]) == (
        3,
        "generator",
        f"generator/image/ab = {value}",
    )
    assert record["losses"]["generator/image/ab"] == value and math.isfinite(record["losses"]["generator/image/ba"])
    streams, _ = build_streams(RunFolder.open(run).recipe(), CATALOG)
    assert record["images"] == streams["main"].names(3) and ", ".join(record["images"]) in ended.err
    assert [line["step"] for line in forge_watch.subject.records(run)] == [1, 2, 3]
    assert "not finite at step 3" in (run / "log.txt").read_text()
    saved_and_recovers(forge_watch, straight, run)


@pytest.mark.parametrize("judged", ["", pytest.param(LATE, marks=slow)], ids=["at once", "late"])
def test_56_a_gradient_that_is_not_finite(forge_watch, straight, tmp_path, judged):
    run = tmp_path / "run"
    fault = judged + at_step(forge_watch, f"{WEIGHT}.register_hook(lambda gradient: gradient * float('nan'))")
    ended = forge_watch.train(run, inject=fault)
    ended.refused(7, "not finite at step 3: the gradient of decoder.b;", "phase 'generator' was not updated")
    saved_and_recovers(forge_watch, straight, run)


def saved_and_recovers(watch, straight, run):
    """The last good checkpoint is the newest, all of it finite; the same command ends as if nothing had been."""
    assert list(watch.subject.saved(run)) == [2]
    assert watch.subject.usable(run) == 2  # which reads it, and refuses what is not finite
    watch.goes_on(run, straight)


@pytest.mark.parametrize("written", ["fp16", "float16", "half"])
def test_57_fp16_is_refused_with_the_reason(written):
    with pytest.raises(RecipeError, match=r"precision: should be bf16 \(numbers above 65504 overflow in fp16"):
        read_recipe("munit_synthetic", set=[f"precision={written}"])


def test_57_fp16_on_the_command_line(forge_watch):
    forge_watch.call("train", "munit_synthetic", "--precision", "fp16").refused(3, "precision", "overflow in fp16")


@pytest.fixture
def growing(quiet, tmp_path, monkeypatch, listening):
    """Runs whose steps only report a loss: ordinary, heavy-tailed, ten times as large from step 60 on."""
    draws = torch.Generator().manual_seed(0)
    losses = torch.empty(120).log_normal_(0, 0.5, generator=draws)
    losses[60:] *= 10
    monkeypatch.setattr(forecast, "ENOUGH", 0)  # such steps would be taken for seconds, to see how long they are
    monkeypatch.setattr(Trainer, "step", lambda self, batch, done: {"generator/gan/ab": float(losses[done])})

    def train(*changes):
        tiny = ("data.workers=0", "run.log_every=1", "run.checkpoint_every=1000", *TINY_MUNIT, *changes)
        before = len(listening.notes)
        Run(read_recipe("munit_synthetic", set=tiny), quiet, tmp_path / "run", progress=listening).train()
        return [text for text in listening.notes[before:] if "alarm" in text]

    return train


def test_58_a_loss_that_grows_tenfold_is_noticed_within_fifty_steps(growing, tmp_path):
    (alarm,) = growing("steps=120")
    step = int(alarm.removeprefix("alarm at step ").partition(":")[0])
    assert 60 < step <= 110
    assert "generator/gan/ab has risen to" in alarm
    assert alarm in (tmp_path / "run/log.txt").read_text()


def test_58_a_resumed_run_knows_what_was_usual(growing):
    assert growing("steps=60") == []
    (alarm,) = growing("steps=120")
    assert "alarm at step 7" in alarm  # not another thirty records later


def test_58_it_can_be_turned_off(growing):
    assert growing("steps=120", "run.alarm=false") == []
