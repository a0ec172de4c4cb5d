"""What is written as YAML is read back as it was, however awkward the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_forge.errors import RecipeError
from i2i_forge.recipe.yaml_source import MAX_KEY, parse_yaml
from i2i_forge.recipe.yaml_text import to_inline_yaml, to_yaml

AWKWARD = [
    *("no", "1e-4", "12:30", "a # b", "[x", "<<", "=", "!x", "&a", "*", "? ", "- ", "%", "@", "`", "'", '"', "a: b"),
    *("a:", "#", "...", "---", "\n", "a\n", "\t", ".nan", "0x1", "1_000", " a ", "~", "", "é", "\U0001f45e", "a\n\n b"),
    *("x" * 300, "word " * 60 + "end", "a  b" * 60, "{", "}", ",", "true", "NULL", "010", "+.inf", "\\", "\\n"),
]  # fmt: skip


def readable(text: str) -> bool:
    """Whether our reader takes the text at all: control characters are refused."""
    try:
        parse_yaml('a: "x"\n# ' + text.replace("\n", " "))
    except RecipeError:
        return False
    return "\r" not in text


texts = st.text(max_size=30).filter(readable) | st.sampled_from(AWKWARD)
keys = texts.filter(lambda text: text != "<<" and len(text) <= MAX_KEY)
values = st.recursive(
    texts | st.integers(-(10**40), 10**40) | st.booleans() | st.floats(allow_nan=False) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text(text):
    for data in ({"a": text}, {"a": [text, {"b": text}]}):
        assert parse_yaml(to_yaml(data)).data == data
        assert parse_yaml(f"x: {to_inline_yaml(data)}").data == {"x": data}


@given(st.dictionaries(keys, values, max_size=3))
@settings(max_examples=150, deadline=None, database=None)
def test_any_data(data):
    assert parse_yaml(to_yaml(data)).data == data
    for value in data.values():
        line = to_inline_yaml(value)
        assert "\n" not in line
        assert parse_yaml(f"x: {line}").data == {"x": value}


def test_types_are_kept():
    data = {"a": 1, "b": 1.0, "c": True, "d": "1", "e": "1.0", "f": "true", "g": 1e-05, "h": 1e22}
    back = parse_yaml(to_yaml(data)).data
    assert [(type(value), value) for value in back.values()] == [(type(value), value) for value in data.values()]


def test_what_occurs_twice_is_written_twice():
    both = [0.5, 0.999]
    assert "&" not in to_yaml({"a": both, "b": both})
