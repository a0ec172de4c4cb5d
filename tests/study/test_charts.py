"""Axes and charts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i_forge.study.page.charts import BINS, BOTTOM, LEFT, RIGHT, TOP, Line, chart, scale_of, short

NUMBERS = st.floats(-1e12, 1e12, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-12 else x)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_every_value_has_its_place_and_the_axis_has_marks(values):
    scale = scale_of(values)
    places = [scale(value) for value in sorted(values)]
    assert all(0 <= place <= 1 for place in places) and places == sorted(places)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 25 and ticks == sorted(set(ticks))
    slack = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


@pytest.mark.parametrize(
    ("values", "is_log", "low", "high"),
    [
        ([1, 3], False, 0, 3),  # near 0: from 0
        ([2, 3], False, 2, 3),
        ([-1, 1], False, -1, 1),
        ([0.001, 1], True, 0.001, 1),
        ([0, 1e6], False, 0, 1e6),  # 0 has no logarithm
        ([4, 4], False, 2, 6),
        ([0, 0], False, -0.5, 0.5),
    ],
)
def test_which_axis(values, is_log, low, high):
    scale = scale_of(values)
    assert (scale.is_log, scale.low, scale.high) == (is_log, low, high)


def test_marks_are_round():
    assert [short(tick) for tick in scale_of([0, 1500]).ticks()] == ["0", "500", "1k", "1.5k"]
    assert [short(tick) for tick in scale_of([0.001, 1]).ticks()] == ["0.001", "0.01", "0.1", "1"]
    assert short(2_500_000) == "2.5M"


def test_a_falling_loss_is_drawn_falling_and_inside_the_field():
    points = [(step, math.exp(-step / 300)) for step in range(1, 1001)]
    (curve,) = chart("loss", [Line("ab", 0, points)], 1000, bands=True).curves
    drawn = curve.places
    assert len(drawn) <= BINS
    assert [y for _, y in drawn] == sorted(y for _, y in drawn)  # y grows downwards
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in drawn + curve.band)


def test_a_shorter_run_ends_earlier():
    (curve,) = chart("loss", [Line("short", 0, [(0, 1.0), (50, 2.0)])], 100).curves
    assert curve.places[-1][0] == pytest.approx((LEFT + RIGHT) / 2)


def test_later_colours_are_dashed():
    (curve,) = chart("loss", [Line("a", 9, [(1, 2.0)])], 1).curves
    assert (curve.style, len(curve.places), curve.band) == ("s1 dashed", 1, [])
