"""The grammar of terms and schedules."""

import keyword

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from i2i_forge.recipe.terms import MAX_LENGTH, Term, TermSyntaxError, parse_term, parse_weight


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
    assert (term.weight.at(0), term.loss, term.arguments, term.options) == (weight, loss, tensors, options)
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
        ("l1(a, x=1, x=2)", "'x' is given twice"),
        ("l1(a, target=b)", "quote it if it is text (tensors come first, without `name=`)"),
        ("1e999 * l1(a)", "is not a number"),
        ("1/3 * l1(a)", "'1 / 3' is not a number"),
        ("1j * l1(a)", "is not a number"),
        ("l1(a, x=1e999)", "is not a number, text"),
        ("l1(a, x={1, 2})", "is not a number, text"),
        ("l1(a, x=b'1')", "is not a number, text"),
        ("l1(*a)", "is not the name of a tensor"),
        ("2 * l1(a) * mse(b)", "there is no schedule 'l1'"),
        ("l1(a) * 10", "'10' is not a loss"),
        ("a.b.c(x)", "is not a name"),
        ("l1(a); l1(b)", "cannot read"),
        ("l1(a)\nl1(b)", "cannot read"),
        ("l1(a) if True else l1(b)", "is not a loss"),
        ("l1(a := b)", "is not the name of a tensor"),
        ("0x" + "f" * 480 + " * l1(a)", "is not a number"),
        ("0x" + "f" * 5000, "more than 500 characters"),
        ("(" * 240 + "l1(a)" + ")" * 240, "cannot read"),
        ("-" * 480 + "1 * l1(a)", "cannot read"),
        ("l1(a\0)", "cannot read"),
        ("l1('\ud800')", "cannot read"),
    ],
)
def test_mistakes_are_said_in_plain_words(text, part):
    with pytest.raises(TermSyntaxError) as caught:
        parse_term(text)
    assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_zero_weights_are_known_only_when_they_are_zero_for_ever():
    assert parse_term("0 * l1(a)").weight.is_zero
    assert parse_term("0 * step(10) * l1(a)").weight.is_zero
    assert not parse_term("linear(0, 1, steps=10) * l1(a)").weight.is_zero


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("step(100_000, 0.5)", {0: 1, 99_999: 1, 100_000: 0.5, 199_999: 0.5, 200_000: 0.25, 10**9: 0}),
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


@given(st.text() | st.text(alphabet="l1(ab),*=.'[]{}0+-_ stepé\n\\x\t\"ef9jJ:<>@#&|~;!%^", max_size=60))
@settings(max_examples=550, database=None, deadline=None)
def test_any_text_is_a_term_or_a_plain_error_in_one_line(text):
    for read in (parse_term, parse_weight):
        try:
            found = read(text)
        except TermSyntaxError as error:
            assert len(str(error).splitlines()) == 1
        else:
            if read is parse_term:
                assert parse_term(str(found)) == found
            else:
                assert isinstance(found.at(10**9), int | float)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
values = st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(max_size=9)
values |= st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=2)
weights = st.sampled_from(["1", "0.5", "-3", "1e-4", "step(10, 0.5)", "linear(0, 1, steps=9)", "2 * warmup(3)"])


@given(weights, names, st.lists(names, max_size=3), st.dictionaries(names, values, max_size=2))
@settings(max_examples=200, database=None, deadline=None)
def test_every_term_comes_back_from_its_text(weight, loss, tensors, options):
    term = Term(parse_weight(weight), loss, tuple(tensors), options)
    assume(len(str(term)) <= MAX_LENGTH)
    again = parse_term(str(term))
    assert again == term
    assert [again.weight.at(step) for step in (0, 5, 50)] == [term.weight.at(step) for step in (0, 5, 50)]


def test_python_has_no_remarks_on_the_spelling():
    """Python warns of such texts, and here a warning is an error."""
    assert parse_term(r"l1(a, x='\d')").options == {"x": r"\d"}


def test_nothing_is_evaluated(tmp_path):
    canary = tmp_path / "canary"
    for text in (f"open('{canary}', 'w')", f"l1(open('{canary}', 'w'))", f"l1(a, x=open('{canary}', 'w'))",
                 f"open('{canary}', 'w') * l1(a)", f"step(open('{canary}', 'w')) * l1(a)"):  # fmt: skip
        with pytest.raises(TermSyntaxError):
            parse_term(text)
    assert not canary.exists()


def test_terms_are_values():
    one, same, other = (parse_term(text) for text in ("2*l1(a, x=1)", "2 * l1(a,x=1)", "2 * l1(a, x=2)"))
    assert one == same != other
    assert hash(one) == hash(same)
    assert not parse_term("-0.0 * l1(a)").weight.at(0) and parse_term("-0.0 * l1(a)").weight.is_zero
