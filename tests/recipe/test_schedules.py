"""Schedules: closed forms at their edges, and arguments that make no sense."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i_forge.recipe import schedules
from i2i_forge.recipe.schedules import SCHEDULES
from i2i_forge.recipe.terms import TermSyntaxError, parse_weight


def test_every_schedule_is_offered_and_documented():
    public = {n for n, f in vars(schedules).items() if callable(f) and not n.startswith("_") and n != "Schedule"}
    assert set(SCHEDULES) == public - {"Callable"}
    assert all(schedule.__doc__ for schedule in SCHEDULES.values())


@given(st.integers(0, 10**7), st.integers(1, 10**6), st.integers(0, 10**6), st.floats(-10, 10), st.floats(-10, 10))
def test_ramps_stay_between_their_ends_and_reach_them(step, steps, after, start, end):
    for ramp in (schedules.linear(start, end, steps, after), schedules.cosine(start, end, steps, after)):
        assert min(start, end) - 1e-9 <= ramp(step) <= max(start, end) + 1e-9
        assert ramp(after) == pytest.approx(start)
        assert ramp(after + steps) == ramp(after + steps + 1) == pytest.approx(end)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_warmup_rises_to_one_in_so_many_updates(steps, step):
    warmup = schedules.warmup(steps)
    assert warmup(0) == 1 / steps
    assert warmup(steps - 1) == warmup(steps + step) == 1
    assert 0 < warmup(step) <= warmup(step + 1)


def test_a_cosine_is_a_cosine():
    cosine = schedules.cosine(2, 0, 100)
    for step in range(100):
        assert cosine(step) == pytest.approx(1 + math.cos(math.pi * step / 100))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step(0)", "step(0): every is 0, it must be more than 0"),
        ("step(-5, 0.5)", "step(-5, 0.5): every is -5, it must be more than 0"),
        ("step(10, -1)", "step(10, -1): factor is -1, it must be from 0 to 1"),
        ("step(10, 2)", "step(10, 2): factor is 2, it must be from 0 to 1"),
        ("linear(0, 1, steps=0)", "linear(0, 1, steps=0): steps is 0, it must be more than 0"),
        ("linear(0, 1, steps=-3)", "linear(0, 1, steps=-3): steps is -3, it must be more than 0"),
        ("linear(0, 1, steps=3, after=-1)", "linear(0, 1, steps=3, after=-1): after is -1, it must be 0 or more"),
        ("cosine(0, 1, 0)", "cosine(0, 1, 0): steps is 0, it must be more than 0"),
        ("warmup(0)", "warmup(0): steps is 0, it must be more than 0"),
        ("warmup(-1)", "warmup(-1): steps is -1, it must be more than 0"),
        ("warmup()", "warmup(): warmup() missing 1 required positional argument: 'steps'"),
        ("warmup(1, 2)", "warmup(1, 2): warmup() takes 1 positional argument but 2 were given"),
        ("warmup(stepz=1)", "warmup(stepz=1): warmup() got an unexpected keyword argument 'stepz'"),
        ("warmup(steps=True)", "'True' is not a number"),
        ("warmup(steps='3')", "''3'' is not a number"),
        ("warmup(1, steps=1)", "warmup(1, steps=1): warmup() got multiple values for argument 'steps'"),
    ],
)
def test_arguments_that_make_no_sense_are_said_when_the_recipe_is_read(text, message):
    with pytest.raises(TermSyntaxError) as caught:
        parse_weight(text)
    suggested = ". Did you mean 'steps'?" if "stepz" in text and sys.version_info >= (3, 13) else ""
    assert str(caught.value) == message + suggested


@pytest.mark.parametrize("text", ["1e999", "nan", "inf", "x", "1 + 1", "step", "step(2) + step(3)", "", "0x", True])
def test_what_is_no_schedule(text):
    with pytest.raises(TermSyntaxError) as caught:
        parse_weight(text)
    assert "l1(" not in str(caught.value)  # the example is one of a schedule, not of a term
