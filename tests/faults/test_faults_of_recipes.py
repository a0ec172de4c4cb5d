"""Recipes that are wrong or hostile: 61 to 68. Each trap of YAML is in tests/recipe/test_yaml_source.py."""

import os
import re
import shutil
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from mutated_recipes import mutated

from i2i_forge.errors import ForgeError, RecipeError
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe

WORKS = "base: munit_synthetic\n"


@pytest.fixture
def refused(tmp_path, vocabulary):
    """The message that a recipe is refused with (exit code 3, one message with the place and what to do)."""

    def refuse(text, name="r.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        with pytest.raises(ForgeError) as caught:
            read_recipe(file, vocabulary=vocabulary)
        return checked(caught.value, 3)

    return refuse


def checked(error, code):
    assert error.exit_code == code
    assert error.fix
    assert len(str(error).splitlines()) <= 6, str(error)
    return str(error)


# ---- 61 --------------------------------------------------------------------------------------------------------


def test_61_two_hundred_recipes_with_a_mistake_are_refused_at_its_place_or_are_legal(tmp_path, vocabulary):
    recipes = shipped_recipes()
    for file in recipes.values():
        shutil.copy(file, tmp_path)  # mutants name their bases as their neighbours
    outcomes = {"refused": 0, "legal": 0}
    for number in range(200):
        name = sorted(recipes)[number % len(recipes)]
        text, harmful = mutated(recipes[name].read_text(), Random(number))
        file = tmp_path / f"mutant_{number}.yaml"
        file.write_bytes(text.encode(errors="surrogatepass"))
        try:
            recipe = read_recipe(file, vocabulary=vocabulary)
        except RecipeError as error:
            outcomes["refused"] += 1
            assert error.fix
            assert_one_line_with_a_place_for_each_mistake(error, tmp_path)
        else:
            outcomes["legal"] += 1
            assert not harmful, f"{number}: {name} was accepted\n{text}"
            (again := tmp_path / "again.yaml").write_text(recipe.to_yaml())
            assert read_recipe(again, vocabulary=vocabulary).model_dump() == recipe.model_dump()
    assert outcomes["refused"] > 150
    assert outcomes["legal"] > 10  # or it would refuse everything


def assert_one_line_with_a_place_for_each_mistake(error, folder):
    lines = error.message.splitlines()
    for line in lines:
        file, row, column, said = re.fullmatch(r"(.+?\.yaml):([0-9]+):([0-9]+): (.+)", line).groups()
        text = Path(file).read_text(errors="replace").splitlines()
        assert Path(file).parent == folder
        assert 1 <= int(row) <= len(text) + 1
        assert 1 <= int(column) <= max(map(len, text), default=0) + 2
        assert len(said) < 500, said
    assert len(set(lines)) == len(lines)


def test_61_several_mistakes_are_reported_at_once(refused):
    said = refused(
        f"{WORKS}stpes: 3\nseed: -1\ndata: {{sise: 64}}\nphases: {{generator: {{minimize: {{image: l1(x)}}}}}}\n"
    )
    for place, word in (("2:1", "stpes"), ("3:1", "seed"), ("4:8", "sise"), ("5:33", "image")):
        assert re.search(rf"r\.yaml:{place}: [a-z.]*{word}: ", said), said
    assert "'steps'" in said and "'size'" in said


@pytest.mark.parametrize(
    "text",
    [
        'trainer: "a\\nfix: do as I say"\n',
        '"a\\nb": 1\n',
        'data: {use: "a\\nb"}\n',
        'networks: {"a\\nb": {use: y}}\n',
        f"trainer: {'x' * 4000}\n",
        f"data: {{size: [{'1, ' * 5000}]}}\n",
        'trainer: "\\e[31mred"\n',
    ],
)
def test_61_no_text_of_a_recipe_forges_or_floods_the_message(refused, text):
    message, _ = refused(WORKS + text).split("\nfix: ")
    for line in message.splitlines():
        assert re.match(r".+/r\.yaml:[0-9]+:[0-9]+: ", line) and len(line) < 1000 and "\x1b" not in line


def test_61_thousands_of_mistakes_are_counted(tmp_path, vocabulary):
    (file := tmp_path / "r.yaml").write_text("".join(f"k{i}: 1\n" for i in range(4000)))
    with pytest.raises(RecipeError, match=r"\n\.\.\. and [0-9]+ more\nfix: 400[0-9] mistakes") as caught:
        read_recipe(file, vocabulary=vocabulary)
    assert len(str(caught.value).splitlines()) == 22


def test_61_to_68_on_the_command_line(forge_watch, tmp_path):
    file = tmp_path / "r.yaml"
    for text, words in (
        (f"{WORKS}stpes: 3\n", ("r.yaml:2:1", "did you mean 'steps'")),
        (f"{WORKS}seed: 1\nseed: 2\n", ("r.yaml:3:1", "r.yaml:2:1")),
        ("base: r.yaml\n", ("goes round in a circle",)),
        (bomb(), ("10,000 values",)),
        ("[" * 100_000, ("32 levels",)),
        (f"{WORKS}trainer: !!python/name:os.system x\n", ("r.yaml:2:10", "tag")),
    ):
        file.write_text(text)
        forge_watch.call("check", file, "--no-step").refused(3, *words)


# ---- 62, 63 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "second", "first"),
    [
        (f"{WORKS}seed: 1\nsteps: 2\nseed: 3\n", "4:1", "2:1"),
        (f'{WORKS}data: {{batch: 1, "batch": 2}}\n', "2:18", "2:8"),
        (f"{WORKS}run:\n  keep: 1\n  # more\n  'keep': 1\n", "5:3", "3:3"),
        (f"{WORKS}{WORKS}", "2:1", "1:1"),
    ],
)
def test_62_a_key_twice(refused, text, second, first):
    said = refused(text)
    assert f"r.yaml:{second}: the key" in said
    assert f"r.yaml:{first}\n" in said


def test_63_a_base_that_refers_to_itself_or_is_too_deep(refused, tmp_path):
    assert "r.yaml -> " in refused("base: r.yaml\n")
    for name, base in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"base: {base}.yaml\n")
    said = refused("base: a.yaml\n")
    assert [said.count(f"{name}.yaml") for name in "abc"] == [2, 1, 1]
    for depth in range(12):
        (tmp_path / f"deep{depth}.yaml").write_text(f"base: deep{depth + 1}.yaml\n")
    assert "more than 10 recipes deep" in refused("base: deep0.yaml\n")


def test_63_a_base_that_is_missing_or_no_recipe(refused, tmp_path):
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "link.yaml").symlink_to("link.yaml")
    (tmp_path / "secret").write_text("root:x:0:0:secret words\n")
    paths = ("nowhere.yaml", "munit_sinthetic", ".", "link.yaml", '"a\\0b"', "''", "/", "x" * 300)
    for base in (*paths, "[a]", "3", "{a: b}"):
        assert "r.yaml:1:" in refused(f"base: {base}\n"), base
    for base in ("fifo.yaml", "/dev/zero"):
        assert f"{base}: cannot read it" in refused(f"base: {base}\n")
    assert "munit_synthetic" in refused("base: munit_sinthetic\n")
    assert "secret words" not in refused("base: secret\n")  # no message shows the content of another file


# ---- 64, 65, 66 ------------------------------------------------------------------------------------------------


def bomb():
    """A billion values in ten lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return "\n".join(lines + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)])


@pytest.fixture
def megabytes():
    """Calls a function; returns the most memory that Python held meanwhile."""

    def measure(function, *arguments):
        tracemalloc.start()
        try:
            function(*arguments)
            return tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()

    return measure


@pytest.mark.parametrize(
    "text",
    [bomb(), "a: &a [*a]", "a: &a {b: *a}", "a: &a\n  - &b [*b, *a]", "&k a: {<<: *k}", "a: &a x\nb: [" + "*a, " * 500],
    ids=["a billion", "list", "mapping", "both", "key", "many"],
)  # fmt: skip
def test_64_an_alias_bomb_takes_no_memory(refused, megabytes, text):
    assert megabytes(refused, text) < 10


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "&a [", "{a: ", "[{"])
def test_65_deep_nesting_takes_no_memory(refused, megabytes, opening):
    assert megabytes(refused, opening * 100_000) < 50


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("a: !!python/object/apply:os.system [touch canary]\n", "1:4", "tag"),
        (b"a: 1\nb: \xff\xfe\n", "2:4", "UTF-8"),
        ("a: 1\n".encode("utf-16"), "1:1", "UTF-8"),
        ("a: \ud800\n", "1:4", "UTF-8"),
        ("a: \ufeffb\n", "1:4", "U+FEFF"),
        ("%TAG ! tag:x,2000:\n---\na: !x 1\n", "3:4", "tag"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "1:1", "UTF-8"),
        (b"PK\x03\x04" + bytes(100), "1:3", "U+0003"),
    ],
)
def test_66_tags_tabs_and_bytes(refused, tmp_path, text, place, word):
    said = refused(text)
    assert f"r.yaml:{place}: " in said and word in said, said
    assert not (tmp_path / "canary").exists()


def test_66_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path, vocabulary):
    (file := tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbf" + WORKS.replace("\n", "\r\n").encode() + b"seed: 3\r\n")
    assert read_recipe(file, vocabulary=vocabulary).seed == 3


def test_66_a_hundred_megabytes_are_refused_by_their_size(refused, megabytes, tmp_path, vocabulary):
    (file := tmp_path / "large.yaml").touch()
    os.truncate(file, 100_000_000)

    def read():
        with pytest.raises(RecipeError, match=r"large\.yaml:1:1: the file has more than 1,000,000 bytes") as caught:
            read_recipe(file, vocabulary=vocabulary)
        checked(caught.value, 3)

    assert megabytes(read) < 1


# ---- 67, 68 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 0.0001), ("no", "no"), ("12:30", "12:30"), ("010", 10), ("on", "on"), ("2026-11-24", "2026-11-24"),
     ("1_000", 1000), ("0x10", "0x10"), ("~", None)],
)  # fmt: skip
def test_67_values_are_what_they_look_like(tmp_path, text, value):
    (file := tmp_path / "r.yaml").write_text(f"{WORKS}data: {{root: {text}}}\n")
    root = read_recipe(file).data.options.get("root")
    assert (root, type(root)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "name", "near"),
    [
        ("trainer: munti\n", "munti", "munit"),
        ("data: {use: procedural_shoe}\n", "procedural_shoe", "procedural_shoes"),
        ("networks: {decoder: {use: adain_residul}}\n", "adain_residul", "adain_residual"),
        ("phases: {generator: {minimize: {image: lsgan_generatr(style)}}}\n", "lsgan_generatr", "lsgan_generator"),
        ("optimizers: {default: {use: adem}}\n", "adem", "adam"),
        ("optimizers: {default: {schedule: setp(3)}}\n", "setp", "step"),
    ],
)
def test_68_a_component_that_does_not_exist_is_suggested(refused, text, name, near):
    assert re.search(rf"r\.yaml:2:[0-9]+: .*'{name}'.*did you mean '{near}'", refused(WORKS + text))
