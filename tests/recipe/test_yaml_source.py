"""Each trap of YAML is refused with its exact position; everything else is read, or is a RecipeError."""

import math
import os
import random
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_forge.errors import RecipeError
from i2i_forge.recipe.yaml_source import Position, parse_scalar, parse_yaml, read_yaml

RECIPE = """\
# forge train tiny.yaml
base: munit
seed: 3
data: {size: 64, batch: 2, flip: no}
networks:
  encoder: &encoder {use: residual_content, width: 64}
  twin: *encoder
phases:
  - name: generator
    minimize:
      cycle: 10 * l1(cycled, source)
    rate: 1e-4
    note: |
      two
      \tlines
"""


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_yaml(text, "r.yaml")
    assert caught.value.fix
    assert str(caught.value).count("\n") < 6
    assert max(map(len, str(caught.value).splitlines())) < 300
    return caught.value.message


def test_data_and_positions() -> None:
    source = parse_yaml(RECIPE, "tiny.yaml")
    assert source.data["data"] == {"size": 64, "batch": 2, "flip": "no"}
    assert source.data["phases"][0]["rate"] == 0.0001
    assert source.data["phases"][0]["minimize"] == {"cycle": "10 * l1(cycled, source)"}
    assert source.data["phases"][0]["note"] == "two\n\tlines\n"
    assert source.data["networks"]["twin"] == source.data["networks"]["encoder"]
    assert source.data["networks"]["twin"] is not source.data["networks"]["encoder"]
    where = {path: (at.line, at.column) for path, at in source.positions.items()}
    assert where[()] == (2, 1)
    assert where[("data", "batch")] == (4, 18)
    assert where[("networks", "twin")] == (7, 3)
    assert where[("networks", "twin", "width")] == where[("networks", "encoder", "width")] == (6, 45)
    assert where[("phases", 0)] == (9, 5)
    assert where[("phases", 0, "minimize", "cycle")] == (11, 7)
    assert str(Position("recipe.yaml", 12, 5)) == "recipe.yaml:12:5"


SCALARS = [
    *(("0", 0), ("-12", -12), ("+7", 7), ("010", 10), ("100_000", 100_000), ("-0", 0)),
    *(("1e-4", 1e-4), ("1.0e-4", 1e-4), (".5", 0.5), ("1.", 1.0), ("1_000.5", 1000.5), ("-2E+3", -2000.0)),
    *((".nan", math.nan), (".inf", math.inf), ("-.INF", -math.inf), ("true", True), ("False", False), ("TRUE", True)),
    *(("~", None), ("null", None), ("NULL", None), ("", None)),
]
TEXTS = [
    *("no", "on", "yes", "off", "NO", "y", "tRUE", "nULL", "12:30", "12:30:45.5", "2026-11-23", "inf", "nan", "NaN"),
    *("1__0", "_1", "1_", "1e", "e4", ".", "1.2.3", "0x1F", "0o17", "\u0661", "=", "<=", "+"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS + [(text, text) for text in TEXTS])
def test_scalars(text: str, value: object) -> None:
    for read in (parse_yaml(f"a: {text}").data["a"], parse_scalar(text), parse_scalar(f"[{text or '~'}]")[0]):
        assert read == value or (math.isnan(value) and math.isnan(read))
        assert type(read) is type(value)
    assert parse_yaml(f'a: "{text}"').data["a"] == text
    assert parse_scalar(f"'{text}'") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10 * l1(cycled, source)", "10 * l1(cycled, source)"),
        ("[1, no, {a: 1e-3}]", [1, "no", {"a": 0.001}]),
        ("{}", {}),
        ('"1"', "1"),
        (" 3 ", 3),
        *((text, text) for text in ("a: b", "@x", "*x", "&x 1", "!x 1", "- 1", "#fff", "a # b", "%x", "`", "|", "? a")),
        *((text, text) for text in ("[1", "{a", '"', "'a' b", "[1] + [2]", '"a": 1', "---", "a\tb")),
    ],
)
def test_set_values(text: str, value: object) -> None:
    assert parse_scalar(text) == value


@pytest.mark.parametrize("text", ["[!!python/name:os.system x]", "{a: 1, a: 2}", "[*a]", "1e999", "[" * 40 + "]" * 40])
def test_set_values_have_the_same_traps(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^--set:1:"):
        parse_scalar(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\n\na: 3", "r.yaml:4:1: the key 'a' is already at r.yaml:1:1"),
        ("x: {lr: 1, \"lr\": 2}", "r.yaml:1:12: the key 'lr' is already at r.yaml:1:5"),
        ("a:\n  1: x", "r.yaml:2:3: the key 1 is not text"),
        ("true: x", "r.yaml:1:1: the key True is not text"),
        ("~: x", "r.yaml:1:1: the key None is not text"),
        ("? [a]\n: b", "r.yaml:1:3: the key ['a'] is not text"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "r.yaml:3:3: the merge key << is not supported"),
        ("a: &x [*x]", "r.yaml:1:8: the alias *x lies inside the value it stands for"),
        ("a: *x", "r.yaml:1:4: the alias *x has no anchor before it"),
        ("a: !!python/name:os.system x", "r.yaml:1:4: the tag !!python/name:os.system is not allowed"),
        ("a:\n  - !!binary aGk=", "r.yaml:2:5: the tag !!binary is not allowed"),
        ("a: !foo {}", "r.yaml:1:4: the tag !foo is not allowed"),
        ("a: ! x", "r.yaml:1:4: the tag ! is not allowed"),
        ("!!map {a: 1}", "r.yaml:1:1: the tag !!map is not allowed"),
        ("!!str a: 1", "r.yaml:1:1: the tag !!str is not allowed"),
        ("a:\n\tb: 1", "r.yaml:2:1: a tab cannot indent or separate YAML"),
        ("a:\n  - b\n \t- c", "r.yaml:3:2: a tab cannot indent or separate YAML"),
        ("a: 1\n---\nb: 2", "r.yaml:2:1: a second document begins here"),
        ("a: 1\n---\n", "r.yaml:2:1: a second document begins here"),
        ("a: b\0", "r.yaml:1:5: the character U+0000 is forbidden"),
        ("a: b\r\nc: d\re: \x07", "r.yaml:3:4: the character U+0007 is forbidden"),
        ("a: b\u2028", "r.yaml:1:5: the character U+2028 is forbidden"),
        ("a: b\u202ec", "r.yaml:1:5: the character U+202E is forbidden"),
        ("# a \u2066b", "r.yaml:1:5: the character U+2066 is forbidden"),
        ("a\u200b: 1", "r.yaml:1:2: the character U+200B is forbidden"),
        ("a: \udc80", "r.yaml:1:4: the byte 0x80 is not UTF-8"),
        ('a: "\\0"', "r.yaml:1:4: the character U+0000 is forbidden"),
        ('a: "\\uDC80"', "r.yaml:1:4: the character U+DC80 is forbidden"),
        ('a: "\\UFFFFFFFF"', "r.yaml:1:7: not a character"),
        ("a: 1e999", "r.yaml:1:4: the number 1e999 is too large"),
        (f"a: {'x' * 5000}", f"r.yaml:1:4: the text '{'x' * 40}' ... has more than 4,096 characters"),
        (f"{'k' * 101}: 1", f"r.yaml:1:1: the key '{'k' * 59} has more than 100 characters"),
        ("a: " + "9" * 4000, f"r.yaml:1:4: the number {'9' * 60} is too large"),
        ("a: b: c", "r.yaml:1:5: mapping values are not allowed here"),
        ("- 1", "r.yaml:1:1: the top level is a list, not a mapping"),
        ("\nhello", "r.yaml:2:1: the top level is a str, not a mapping"),
        ("0", "r.yaml:1:1: the top level is a int, not a mapping"),
        ("[]", "r.yaml:1:1: the top level is a list, not a mapping"),
        ("a: {b: 1", "r.yaml:1:9: expected ',' or '}', but got '<stream end>' "
         "(while parsing a flow mapping, which begins at 1:4)"),
    ],
)  # fmt: skip
def test_traps(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n", "\ufeff", "~", "{}", "---\n...\n"])
def test_empty(text: str) -> None:
    source = parse_yaml(text, "r.yaml")
    assert source.data == {}
    assert source.positions[()] == Position("r.yaml", text.count("---") + 1, 1)


def test_depth() -> None:
    assert parse_yaml("a: " + "[" * 31 + "]" * 31).positions[("a", *[0] * 30)].column == 4 + 30
    assert refusal("a: " + "[" * 32 + "]" * 32) == "r.yaml:1:35: nested more than 32 levels deep"
    assert refusal("a: &x " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*x" + "]" * 20).endswith("levels deep")


def test_alias_bomb() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 6)}]\n" for i in range(1, 10))
    assert refusal(bomb) == "r.yaml:5:20: more than 10,000 values, aliases counted in full"
    assert refusal("a: &x 1\nb: [" + "*x, " * 65 + "]") == f"r.yaml:2:{5 + 64 * 4}: more than 64 aliases (`*name`)"
    assert refusal("a: [" + "1, " * 10_000 + "]").endswith("more than 10,000 values, aliases counted in full")


def test_anchors() -> None:
    assert parse_yaml("a: &x [1, &y {k: v}]\nb: [*x, *y]\n&k z: *k").data["b"] == [[1, {"k": "v"}], {"k": "v"}]
    assert parse_yaml("a: &x [1, 2]\nb: [0, *x]").positions[("b", 1)] == Position("<text>", 2, 8)
    assert parse_yaml("a: &x b\n*x : 1").data == {"a": "b", "b": 1}


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: caf\xc3\xa9\r\n")
    source = read_yaml(file)
    assert source.data == {"a": 1, "b": "café"}
    assert source.positions[("b",)] == Position(str(file), 2, 1)
    for raw, place in ((b"a: \xc3\xa9\nb: \xc3\xa9\xff", "2:5: the byte 0xff"), (b"\xff\xfea\0", "1:1: the byte 0xff")):
        file.write_bytes(raw)
        with pytest.raises(RecipeError) as caught:
            read_yaml(file)
        assert caught.value.message == f"{file}:{place} is not UTF-8"
    file.write_bytes(b"#" * 1_000_000)
    assert read_yaml(file).data == {}
    os.truncate(file, 100_000_000)
    with pytest.raises(RecipeError, match=r"r\.yaml:1:1: the file has more than 1,000,000 bytes"):
        read_yaml(file)


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "fifo", "a\0b", "x" * 300, "file/inside"])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RecipeError) as caught:
        read_yaml(tmp_path / name)
    assert caught.value.message.startswith(f"{tmp_path / name}: cannot read it: ")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "r.yaml").touch()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RecipeError, match=r"r\.yaml: cannot read it: Permission denied"):
        read_yaml(tmp_path / "r.yaml")


# Text that both YAML 1.1, which writes, and our rules, which read, take for text.
texts = st.text(string.ascii_letters + " :#'\"[]{},&*!|>%@`-?\n~é\U0001f600", max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4), max_leaves=12)


@settings(max_examples=50, deadline=None, database=None)
@given(st.dictionaries(texts, values, max_size=4), st.sampled_from([None, True, False]))
def test_round_trip(data: dict[str, object], flow: bool | None) -> None:
    assert parse_yaml(yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)).data == data


@settings(max_examples=100, deadline=None, database=None)
@given(st.binary(max_size=60) | st.text(string.printable, max_size=60).map(str.encode))
def test_any_bytes_are_data_or_a_recipe_error(raw: bytes) -> None:
    _read_or_refuse(raw.decode(errors="surrogateescape"))


def test_any_mutation_is_data_or_a_recipe_error() -> None:
    rng = random.Random(0)
    pieces = [
        *"[]{}:,-?&*!|>'\"%@`#\n\t \\",
        "<<: ",
        "*encoder",
        "&encoder ",
        "\n---\n",
        '"\\U',
        "!!x ",
        "%YAML 1.",
        "? ",
    ]
    for _ in range(300):
        text = RECIPE
        for _ in range(rng.randint(1, 5)):
            i = rng.randrange(len(text))
            text = text[:i] + rng.choice(pieces) + text[i + rng.choice((0, 0, 1, 5)) :]
        _read_or_refuse(text)


def _read_or_refuse(text: str) -> None:
    for read in (parse_yaml, parse_scalar):
        try:
            read(text)
        except RecipeError as error:
            assert str(error).count("\n") < 6
