"""The grammar of terms and schedules."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_forge.terms import TermSyntaxError, parse_term, parse_weight


@pytest.mark.parametrize(
    ("text", "weight", "loss", "tensors", "options"),
    [
        ("l1(a, b)", 1, "l1", ("a", "b"), {}),
        ("10 * l1(a, b)", 10, "l1", ("a", "b"), {}),
        ("1e-4 * mse(a, b)", 1e-4, "mse", ("a", "b"), {}),
        ("-0.5 * l1(a)", -0.5, "l1", ("a",), {}),
        ("2 * 3 * l1(a)", 6, "l1", ("a",), {}),
        ("gp(a, center=1.0, kind='x', sizes=[1, 2])", 1, "gp", ("a",), {"center": 1.0, "kind": "x", "sizes": [1, 2]}),
        ("mine.l1(a)", 1, "mine:l1", ("a",), {}),
        ("  1*l1( a,b )  ", 1, "l1", ("a", "b"), {}),
    ],
)
def test_terms_are_read_and_written(text, weight, loss, tensors, options):
    term = parse_term(text)
    assert (term.weight.at(0), term.loss, term.tensors, term.options) == (weight, loss, tensors, options)
    assert parse_term(str(term)) == term


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("l1", "is not a loss"),
        ("10 * l1(3)", "not the name of a tensor"),
        ("l1(a.b)", "not the name of a tensor"),
        ("l1(a, option=b)", "quote it"),
        ("wobble(1) * l1(a)", "no schedule 'wobble'"),
        ("setp(10) * l1(a)", "did you mean 'step'"),
        ("step() * l1(a)", "missing 1 required"),
        ("step(0, 0.5) * l1(a)", "step(0, 0.5)"),
        ("True * l1(a)", "not a number"),
        ("l1(a", "cannot read"),
        ("l1(**a)", "write the options out"),
        ("__import__('os').system('x')", "is not"),
        ("(lambda: 1)()", "not a name"),
        ("", "cannot read"),
        ("10 + l1(a)", "is not a loss"),
    ],
)
def test_mistakes_are_said_in_plain_words(text, part):
    with pytest.raises(TermSyntaxError) as caught:
        parse_term(text)
    assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(st.text(alphabet="l1(ab),*=.'[]{}0+-_ stepé\n", max_size=40))
@settings(max_examples=150, database=None, deadline=None)
def test_nothing_but_a_term_syntax_error_is_raised(text):
    with contextlib.suppress(TermSyntaxError):
        parse_term(text)


def test_zero_weights_are_known_only_when_they_are_zero_for_ever():
    assert parse_term("0 * l1(a)").weight.is_zero
    assert parse_term("0 * step(10) * l1(a)").weight.is_zero
    assert not parse_term("linear(0, 1, steps=10) * l1(a)").weight.is_zero


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("step(100_000, 0.5)", {0: 1, 99_999: 1, 100_000: 0.5, 199_999: 0.5, 200_000: 0.25}),
        ("linear(1, 0, steps=10, after=5)", {0: 1, 5: 1, 10: 0.5, 15: 0, 99: 0}),
        ("cosine(1, 0, steps=10)", {0: 1, 5: 0.5, 10: 0, 99: 0}),
        ("warmup(4)", {0: 0.25, 3: 1, 4: 1}),
        ("constant(3)", {0: 3, 10: 3}),
        ("2 * warmup(2) * step(10, 0.1)", {0: 1, 1: 2, 10: 0.2}),
        (0.5, {7: 0.5}),
    ],
)
def test_schedules_in_closed_form(text, values):
    weight = parse_weight(text)
    assert {step: weight.at(step) for step in values} == pytest.approx(values)
