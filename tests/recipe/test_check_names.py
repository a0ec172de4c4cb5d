"""Names that a recipe uses and that are not there, on data of every shape."""

import copy

import pytest

from i2i_forge.catalog.loading import find_plugins, read_vocabulary
from i2i_forge.catalog.signatures import Parameter
from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.recipe.check_components import Problem, option_problems
from i2i_forge.recipe.check_names import name_problems
from i2i_forge.recipe.check_shape import shape_problems
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.schema import RULES

LOSS = """
from i2i_forge import hookimpl
def half(input, target, *, p: int = 2): "Half."
@hookimpl
def register_components(catalog):
    catalog.losses.add("half", half)
"""
ODD = [
    None, True, 0, -1, 1.5, float("nan"), float("inf"), "", "x", "a.b", [], [[]], ["x"], [1], [["x"]], [None], {},
    {"use": "x"}, {"use": 3}, {"x": None}, {"ab": 3}, {"ab": "l1(source, source)"}, {"str": 3}, 10**30,
]  # fmt: skip


@pytest.fixture
def data(vocabulary):
    return copy.deepcopy(read_recipe("munit_summer2winter", vocabulary=vocabulary).to_data())


@pytest.fixture
def problems(data, vocabulary):
    """What is wrong after changes "a.b" -> value: keys as text -> words."""

    def check(changes, vocabulary=vocabulary):
        for path, value in changes.items():
            *keys, last = path.split(".")
            here = data
            for key in keys:
                here = here.setdefault(key, {})
            here[last] = value
        found: list[Problem] = [*shape_problems(data), *name_problems(data, vocabulary)]
        return {".".join(map(str, keys)): text for keys, text in found}

    return check


def test_a_valid_recipe_has_none(problems):
    assert problems({}) == {}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"networks.decoder.per": ["a", "c"]}, "networks.decoder.per.1", "there is no domain 'c'; there is: a, b"),
        ({"networks.decoder.norm": 3}, "networks.decoder.norm", "adain_residual wants str here, not 3"),
        ({"networks.decoder.width": True}, "networks.decoder.width", "wants int here, not True"),
        ({"networks.decoder.width": 8.0}, "networks.decoder.width", "wants int here, not 8.0"),
        ({"networks.decoder.use": "attention"}, "networks.decoder.use", "among the decoders; there is: adain"),
        ({"networks.decoder.use": "attention"}, "networks.decoder.use", "is its plugin installed, or given by"),
        ({"phases.generater": {}}, "phases.generater.trains", "no new phase: did you mean 'generator'?"),
        ({"networks.mapper": {"use": "x"}}, "networks.mapper", "munit has no such role; there is: content_encoder"),
        ({"optimizers.default.use": "adan"}, "optimizers.default.use", "there is no optimizer 'adan'; did you mean 'a"),
        ({"optimizers.default.schedule": "step(0)"}, "optimizers.default.schedule", "every is 0"),
        ({"optimizers.default.schedule": float("nan")}, "optimizers.default.schedule", "a finite number, not nan"),
        ({"optimizers.default.lr": "0.1"}, "optimizers.default.lr", "should be a number, not '0.1'"),
        ({"optimizers.default.lr": True}, "optimizers.default.lr", "should be a number, not True"),
        ({"optimizers.default.lr": float("inf")}, "optimizers.default.lr", "should be a finite number, not inf"),
        ({"optimizers.second": {"lr": 1}}, "optimizers.second", "'default' takes the roles that no entry names alre"),
        ({"optimizers.decoder": {"lr": 1}}, "optimizers.decoder", "`decoder: {roles: [decoder], lr: 1.0e-4}`"),
        ({"phases.generator.trains": []}, "phases.generator.trains", "should not be empty"),
        ({"phases.generator.trains": "decoder"}, "phases.generator.trains", "should be a list, [one, two], not 'deco"),
        ({"phases.generator.stream": "paird"}, "phases.generator.stream", "data has no stream 'paird'; there is: main"),
        ({"phases.generator.reuse": {"styl": "discriminator"}}, "phases.generator.reuse.styl", "no tensor 'styl'; did"),
        ({"phases.generator.reuse": {"style": "generator"}}, "phases.generator.reuse.style", "no other phase 'generat"),
        ({"phases.generator.minimize.x": "l1(a1, b1, style)"}, "phases.generator.minimize.x", "l1 takes 2 arguments, "),
        ({"phases.generator.minimize.x": "l1(a1, b1)"}, "phases.generator.minimize.x", "no tensor 'a1' and no 'b1'; "),
        ({"phases.generator.minimize.x": "l1(style, style, k=1)"}, "phases.generator.minimize.x.k", "no option 'k'"),
        ({"phases.generator.minimize.x": {"ab": 3}}, "phases.generator.minimize.x.ab", "should be text, not 3"),
        ({"phases.generator.minimize.x": 3}, "phases.generator.minimize.x", "should be text, not 3"),
        ({"phases.generator.minimize.x": ["l1"]}, "phases.generator.minimize.x", "should be text, not a list"),
        ({"phases.generator.every": 0}, "phases.generator.every", "greater than or equal to 1, not 0"),
        ({"phases.1x": {"trains": ["decoder"]}}, "phases.1x", "should be a name of letters, digits and _, not '1x'"),
        ({"data.pair": {"use": "image_list"}}, "data.pair.use", "did you mean 'image_lists'"),
        ({"data.pair": {"use": "paired_folders", "batch": 0}}, "data.pair.batch", "greater than or equal to 1, not 0"),
        ({"data": 3}, "data", "should be a mapping, {key: value}, not 3"),
        ({"steps": 1.5}, "steps", "should be a whole number, not 1.5"),
        ({"run.keep": True}, "run.keep", "should be a whole number, not True"),
        ({"precision": "fp8"}, "precision", "should be 'fp32' or 'bf16', not 'fp8'"),
    ],
)  # fmt: skip
def test_one_mistake_is_said_once_in_plain_words(problems, changes, key, words):
    found = problems(changes)
    assert words in found.get(key, ""), found
    assert len(found) <= 2
    assert not any("Input" in text or "dict" in text or "constrained" in text for text in found.values())


def test_a_missing_role_and_a_missing_section(problems, data):
    del data["networks"]["decoder"], data["optimizers"]
    found = problems({})
    assert found["networks.decoder"] == "this key is missing: munit needs the role 'decoder'"
    assert found["optimizers"] == "this key is missing"
    assert "phases.generator.trains.2" in found


def test_every_role_without_an_optimizer_in_one_line(problems):
    found = problems({"optimizers": {"one": {"lr": 0.1, "roles": ["decoder", "decoder", "dekoder"]}}})
    assert found["optimizers.one.roles.1"] == "'decoder' is already in optimizers.one"
    assert "did you mean 'decoder'" in found["optimizers.one.roles.2"]
    assert found["optimizers"].startswith("no entry takes 'content_encoder', 'discriminator', 'style_encoder', which")


def test_a_second_stream_may_be_used(problems):
    stream = {"use": "paired_folders", "root": "x", "batch": 2}
    assert problems({"data.pair": stream, "phases.generator.stream": "pair"}) == {}


def test_without_a_vocabulary_only_the_recipe_itself_is_judged(problems):
    changes = {"networks.decoder.use": "nothing", "phases.generator.trains": ["nobody"]}
    assert list(problems(changes, vocabulary=Vocabulary(complete=False))) == ["phases.generator.trains.0"]


def test_an_incomplete_vocabulary_does_not_deny_what_it_cannot_know(problems, vocabulary):
    unsure = Vocabulary(vocabulary.components, complete=False)
    assert problems({"networks.decoder.use": "nothing"}, vocabulary=unsure) == {}


def test_names_that_clash_must_be_qualified(problems, tmp_path):
    (tmp_path / "mine.py").write_text(LOSS.replace('"half"', '"l1"'))
    clashing = read_vocabulary(find_plugins([tmp_path]))
    term = "phases.generator.minimize.x"
    found = problems({term: "l1(style, style)"}, vocabulary=clashing)
    expected = (
        "'l1' is both i2i_forge_plugins.distances.l1 and i2i_forge_local_mine.half; write distances.l1 or mine.l1"
    )
    assert found[term] == expected
    assert term not in problems({term: "mine.l1(style, style, p=3)"}, vocabulary=clashing)
    assert "did you mean 'l1'" in problems({term: "mine.l1x(style, style)"}, vocabulary=clashing)[term]


def test_what_a_broken_plugin_would_bring_is_traced_to_it(problems, tmp_path):
    (tmp_path / "mine.py").write_text("import nothing_at_all\n" + LOSS)
    found = problems(
        {"phases.generator.minimize.x": "half(style, style)"}, vocabulary=read_vocabulary(find_plugins([tmp_path]))
    )
    assert found["phases.generator.minimize.x"].startswith(
        "'half' belongs to plugin 'mine', which cannot be used: it imports nothing_at_all"
    )


@pytest.mark.parametrize(
    ("annotation", "fits", "wrong"),
    [
        ("int", [1, -3], [True, 1.0, "1", None, [1]]),
        ("float", [1, 1.5], [True, "1", None]),
        ("bool", [True], [1, "yes"]),
        ("str", ["x"], [1, ["x"]]),
        ("int | None", [None, 1], ["x"]),
        ("int | list[int]", [1, [1, 2], []], ["x", ["x"], [1.5]]),
        ("Literal['a', 'b']", ["a", "b"], ["c", 1, ["a"]]),
        ("Literal['a']", ["a"], ["b"]),
        ("Literal['a', None]", ["a", None], ["b"]),
        ("Literal[Kind.A]", ["anything"], []),
        ("str | Path", ["x", 3], []),
        ("tuple[int, int]", [[1, 2], "x"], []),
        (None, [1, "x", None], []),
    ],
)
def test_types_of_options(annotation, fits, wrong):
    component = Component("encoders", "x", "mine", "mine.X", options=(Parameter("key", annotation, "0"),))
    assert [v for v in fits if list(option_problems(component, {"key": v}, ()))] == []
    assert [v for v in wrong if not list(option_problems(component, {"key": v}, ()))] == []


def places(data, at=()):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from places(value, (*at, key))


def test_any_value_at_any_place_is_judged_without_an_accident(data, vocabulary):
    """About two thousand wrong recipes."""
    for *keys, last in places(data):
        here = data
        for key in keys:
            here = here[key]
        before = here[last]
        for odd in ODD:
            here[last] = odd
            for at, text in (*shape_problems(data), *name_problems(data, vocabulary)):
                assert isinstance(at, tuple) and text and "\n" not in text
        here[last] = before
    assert not shape_problems(data) and not name_problems(data, vocabulary)


def test_the_optimizers_are_those_of_the_engine():
    from i2i_forge.engine.optimizers import RULES as REAL

    assert set(RULES) == set(REAL)
