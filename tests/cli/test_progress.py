"""What `forge train` shows while it runs."""

import time
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from i2i_forge.cli import progress
from i2i_forge.cli.progress import Counted, TrainingProgress, about


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 second"), (80, "about 80 seconds"), (90, "about 2 minutes"), (5000, "about 83 minutes"),
     (5400, "about 2 hours"), (3 * 86400, "about 3 days"), (1e9, "about 32 years"), (1e12, "about 31,710 years")],
)  # fmt: skip
def test_a_duration_is_told_in_the_largest_unit_that_fits(seconds, text):
    assert about(seconds) == text


def told(monkeypatch, capsys, tmp_path, clock, steps, device="cpu", entry=None):
    """The lines of steps that end at the times of `clock`, which begins with the start."""
    times = chain(clock, repeat(clock[-1]))
    fake = SimpleNamespace(monotonic=lambda: next(times), strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(progress, "time", fake)
    shown = TrainingProgress(tmp_path / "samples", device)
    shown.start(100, steps)
    for done in range(101, 101 + len(clock) - 1):
        shown.step(done, {"step": done, **entry} if entry else None)
    shown.stop()
    return capsys.readouterr().err.splitlines()


def test_the_first_line_comes_after_the_first_step_and_the_duration_after_the_second(monkeypatch, capsys, tmp_path):
    first, forecast = told(monkeypatch, capsys, tmp_path, [0, 5, 5.5], 702)
    assert first == "step 101/702  5.0 s for the first"
    assert forecast.startswith("600 steps of 0.5 s take about 5 minutes on cpu")
    assert str(tmp_path / "samples") in forecast


def test_days_on_a_processor_come_with_what_would_be_less(monkeypatch, capsys, tmp_path):
    first, forecast, less = told(monkeypatch, capsys, tmp_path, [0, 44], 1_000_000)
    assert first.startswith("step 101/1000000") and forecast.startswith("999,899 steps")  # after 44 s, at once
    assert "about 509 days on cpu" in forecast
    assert "forge init" in less and "data.size" in less and "--steps" in less
    assert not any("forge init" in line for line in told(monkeypatch, capsys, tmp_path, [0, 44], 9000, "cuda:0"))


def test_a_step_that_is_recorded_has_its_own_line_and_the_last_one_no_future(monkeypatch, capsys, tmp_path):
    entry = {"steps_per_second": 1, "images_per_second": 2, "generator/gan/ab": 0.5}
    lines = told(monkeypatch, capsys, tmp_path, [0, 1], 102, entry=entry)
    assert [line.split("  ")[0] for line in lines] == ["step 101/102"] and "0.500" in lines[0]
    assert told(monkeypatch, capsys, tmp_path, [0], 101) == []


@pytest.mark.parametrize(
    ("is_terminal", "last", "shown"),
    [(True, False, "\r2/2 images\n"), (False, True, "2/2 images\n"), (False, False, "")],
)
def test_a_short_count_shows_its_end_to_those_who_watch(monkeypatch, capsys, is_terminal, last, shown):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: is_terminal)
    count = Counted(last=last)
    for done in (0, 1, 2):
        count(done, 2)
    assert (capsys.readouterr().err, count.done) == (shown, 2)
    count.quiet = True
    count(2, 2)
    assert capsys.readouterr().err == ""
