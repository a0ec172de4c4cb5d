"""The alarm for exploding losses: silent on ordinary runs and heavy-tailed noise, quick when a loss grows tenfold."""

import csv
import math
from pathlib import Path

import pytest
import torch

from i2i_forge.run.records import RECENT, WARM_UP, WINDOW, Alarm

# 3875 steps of MUNIT on drawn shoes, 64x64, every 25th; as every step of a run that logs each, which is harder
with (Path(__file__).parent / "losses_of_a_run.csv").open() as _file:
    RUN = [{name: float(loss) for name, loss in row.items() if name != "step"} for row in csv.DictReader(_file)]


def play(alarm, losses, log_every=1):
    """The steps, from 1 on, at which there is an alarm."""
    alarms = []
    for step, report in enumerate(losses, start=1):
        if alarm.check(report):
            alarms.append(step)
        if step % log_every == 0:
            alarm.remember(report)
    return alarms


def test_a_real_run_gives_no_alarm():
    assert len(RUN) > WARM_UP + RECENT
    assert play(Alarm(), RUN) == []


@pytest.mark.parametrize("name", RUN[0])
def test_a_term_of_it_that_grows_tenfold_gives_one_within_fifty_steps(name):
    grown = [{**report, name: 10 * report[name]} for report in RUN[-50:]]
    (step,) = play(Alarm(), RUN[:-50] + grown)
    assert step - (len(RUN) - 50) <= 50


def noise(kind, count, seed):
    draws = torch.Generator().manual_seed(seed)
    normal, uniform = torch.randn(count, generator=draws), 1 - torch.rand(count, generator=draws)
    kinds = {
        "gaussian": 2 + 0.3 * normal,
        "lognormal": normal.exp(),
        "exponential": -uniform.log(),
        "pareto": uniform.pow(-0.5),
        "around zero": normal,
        "mostly zero": (normal - 1.5).clamp(min=0),
    }
    return kinds[kind].tolist()


KINDS = ("gaussian", "lognormal", "exponential", "pareto", "around zero", "mostly zero")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("log_every", [1, 50])
def test_noise_with_heavy_tails_gives_no_alarm(kind, log_every):
    steps = noise(kind, 20_000 if log_every == 1 else 100_000, seed=1)
    assert play(Alarm(), [{"x": loss} for loss in steps], log_every) == []


@pytest.mark.parametrize("kind", KINDS[:4])
def test_noise_that_grows_tenfold_gives_one_within_fifty_steps(kind):
    noticed = 0
    for seed in range(50):
        alarm, before = Alarm(), noise(kind, WINDOW, seed)
        play(alarm, [{"x": loss} for loss in before])
        noticed += bool(play(alarm, [{"x": 10 * loss} for loss in noise(kind, 50, 1000 + seed)], 50))
    assert noticed >= 48


def test_a_term_is_named_once_in_a_window():
    alarm = Alarm()
    assert play(alarm, [{"x": 1.0}] * WINDOW) == []
    (first, *more) = play(alarm, [{"x": 1000.0 * 10**step} for step in range(60)])
    assert first == RECENT // 2 + 1 and more == []


def test_the_note_names_the_terms_and_their_values():
    alarm = Alarm()
    play(alarm, [dict.fromkeys("abcde", 2.0)] * WINDOW)
    notes = [alarm.check(dict.fromkeys("abcd", 50.0) | {"e": 2.0}) for _ in range(RECENT)]
    (note,) = [note for note in notes if note]
    assert note == "; ".join(f"{name} has risen to 50 from 2" for name in "abc") + "; and 1 more terms"


def test_what_cannot_be_judged_is_not():
    assert play(Alarm(), [{"x": 1.0}] * (WARM_UP - 1) + [{"x": 1e9}] * RECENT, log_every=1000) == []
    assert play(Alarm(), [{"x": 0.0}] * WINDOW + [{"x": 1.0}] * RECENT, log_every=WINDOW) == []
    alarm = Alarm()
    play(alarm, [{"x": 1.0}] * WINDOW)
    assert alarm.check({"new": 1e9}) == ""
    assert alarm.check({"x": math.inf}) == ""  # one step; and a loss that is not finite stops the run anyway


def test_a_few_bad_batches_are_no_alarm():
    losses = [{"x": 1e6 if step % 40 < RECENT // 2 else 1.0} for step in range(400)]
    assert play(Alarm(), losses[20:]) == []


def test_what_is_remembered_decides():
    """A resumed run that remembers its records has the lines of one that was not interrupted."""
    whole, resumed = Alarm(), Alarm()
    play(whole, RUN)
    for report in RUN:
        resumed.remember(report)
    grown = [{name: 10 * loss for name, loss in report.items()} for report in RUN[-50:]]
    assert play(whole, grown) and play(resumed, grown)
