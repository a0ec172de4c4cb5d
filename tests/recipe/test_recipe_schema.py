"""The JSON Schema takes every shipped recipe and refuses the mistakes that are made while typing."""

import re

import pytest
from jsonschema import Draft202012Validator

from i2i_forge.catalog.loading import find_plugins
from i2i_forge.recipe.json_schema import recipe_schema
from i2i_forge.recipe.json_schema.methods import SCHEDULE_PATTERN, term_pattern
from i2i_forge.recipe.json_schema.values import or_null, type_schema
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.terms import TermSyntaxError, parse_term, parse_weight
from i2i_forge.recipe.yaml_source import read_yaml

LOSS = """
from i2i_forge import hookimpl
def half(input, target):
    "Half."
@hookimpl
def register_components(catalog):
    catalog.losses.add("half", half)
"""


@pytest.fixture(scope="module")
def schema():
    made = recipe_schema(find_plugins())
    Draft202012Validator.check_schema(made)
    return made


@pytest.fixture(scope="module")
def validator(schema):
    return Draft202012Validator(schema)


def places(validator, data):
    """Where the schema finds a mistake."""
    return {".".join(map(str, error.absolute_path)) for error in validator.iter_errors(data)}


def example(**changes):
    """A whole recipe; `a__b=c` changes a value, None removes the key."""
    data = read_recipe("munit_synthetic").to_data() | {"state": {}, "run": {}}
    for keys, value in changes.items():
        *path, last = keys.split("__")
        here = data
        for key in path:
            here = here[key]
        here[last] = value
        if value is None:
            del here[last]
    return data


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_as_written_and_with_its_base(validator, name):
    assert places(validator, read_yaml(shipped_recipes()[name]).data) == set()
    assert places(validator, read_recipe(name).to_data()) == set()


def test_numbers_as_most_editors_read_them_are_valid(validator):
    """YAML 1.2 has no 100_000: there it is text."""
    numbers = {"checkpoint_minutes": "1_0.5", "log_every": "10"}
    assert places(validator, example(steps="1_000", run=numbers, networks__decoder__width="1_6")) == set()
    assert places(validator, example(steps="many")) == {"steps"}


MISTAKES = {
    "stps": 3,
    "steps": 0,
    "seed": "one",
    "precision": "fp16",
    "trainer": "munti",
    "data__use": "procedural_shoe",
    "data__sze": 64,
    "data__size": "big",
    "data__paired": "yes",
    "data__other": {"use": "nothing"},
    "data__batch": 0,
    "networks__encoder": {"use": "unet"},  # a role of another method
    "networks__decoder__use": "adain",
    "networks__decoder__widht": 16,
    "networks__decoder__downsamples": 2,  # an option of another component
    "networks__decoder__norm": 3,
    "networks__decoder__per": ["a", "c"],
    "optimizers__default__use": "adm",
    "optimizers__default__lr": "fast",
    "optimizers__default__weigth_decay": 0.1,
    "optimizers__default__schedule": "steps(100, 0.5)",
    "phases__generator__train": ["decoder"],
    "phases__generator__trains": ["decodr"],
    "phases__generator__every": 0,
    "phases__generator__reuse": {"transaltion": "discriminator"},
    "phases__generator__minimize__image": "10 * l11(reconstruction, source)",
    "phases__generator__minimize__style": "1 * l1(recovered_stlye, random_style)",
    "phases__generator__minimize__gan": "lsgan_generator fake_logits",
    "phases__generator__minimize__content": {"abc": "1 * l1(recovered_content, content)"},
    "state__pool": {},
    "run__log_evry": 3,
    "run__keep": 0,
}


@pytest.mark.parametrize("keys", MISTAKES)
def test_a_mistake_is_found_where_it_is(validator, keys):
    assert places(validator, example()) == set()
    found = places(validator, example(**{keys: MISTAKES[keys]}))
    assert found
    here = keys.replace("__", ".")
    assert all(here.startswith(place) or place.startswith(here) for place in found)


@pytest.mark.parametrize(
    "keys", ["trainer", "steps", "data", "networks", "phases", "optimizers", "data__use", "networks__decoder",
             "networks__decoder__use", "optimizers__default__lr", "phases__generator__trains"],
)  # fmt: skip
def test_what_only_a_recipe_without_base_needs(validator, keys):
    part = example(**{keys: None})
    assert places(validator, part)
    assert places(validator, part | {"base": "munit_edge2shoes"}) == set()


def test_a_part_of_a_recipe(validator):
    part = {
        "base": "mine.yaml",
        "data": {"root": None, "size": 64, "paired": {"use": "paired_folders", "root": "pairs"}},
        "networks": {"decoder": {"width": 16, "per": {"a": {"code_dim": 4}, "b": {"use": "unet", "levels": 7}}}},
        "phases": {"generator": {"minimize": {"style": None, "image": {"ab": "l1(reconstruction, source)"}}}},
    }
    assert places(validator, part) == set()
    part["networks"]["decoder"]["per"]["b"]["code_dim"] = 4
    part["phases"]["generator"]["minimize"]["style"] = "l1(stile, random_style)"
    part["data"]["paired"]["sze"] = 3
    assert places(validator, part) == {"networks.decoder.per", "phases.generator.minimize.style", "data.paired.sze"}


def test_options_have_types_defaults_and_texts(schema):
    cases = schema["$defs"]["encoders"]["allOf"]
    options = next(c["then"]["properties"] for c in cases if "unet" in c["if"]["properties"]["use"]["enum"])
    assert options["levels"]["default"] == 8 and "integer" in options["levels"]["type"]
    assert options["code_at"]["enum"] == ["all", "input", None] and options["code_at"]["description"]
    assert schema["$defs"]["RunSettings"]["properties"]["checkpoint_minutes"]["description"].startswith("At the latest")
    betas = schema["$defs"]["Optimizer"]["allOf"][0]["then"]["properties"]
    assert {"betas", "weight_decay"} <= set(betas) and "params" not in betas


def test_plugins_of_ones_own_and_names_that_clash(tmp_path):
    (tmp_path / "mine.py").write_text(LOSS)
    term = example(phases__generator__minimize__image="10 * half(reconstruction, source)")
    assert places(Draft202012Validator(recipe_schema(find_plugins([tmp_path]))), term) == set()
    net = LOSS.replace("losses.add", "decoders.add").replace("(input, target)", '(width: int = 3, depth="x")')
    (tmp_path / "mine.py").write_text(net)
    (tmp_path / "other.py").write_text(net.replace("depth", "height"))
    both = Draft202012Validator(recipe_schema(find_plugins([tmp_path])))
    assert places(both, example(networks__decoder={"use": "half"}))
    assert places(both, example(networks__decoder={"use": "mine:half", "depth": "y"})) == set()
    assert places(both, example(networks__decoder={"use": "other:half", "depth": "y"}))


def test_names_that_cannot_be_read_are_not_refused(tmp_path):
    (tmp_path / "dynamic.py").write_text(LOSS.replace('catalog.losses.add("half", half)', "fill(catalog)"))
    validator = Draft202012Validator(recipe_schema(find_plugins([tmp_path])))
    assert places(validator, example(phases__generator__minimize__image="third(reconstruction, source)")) == set()
    assert places(validator, example(networks__decoder={"use": "theirs", "anything": 1})) == set()
    assert places(validator, example(phases__generator__minimize__image="third(reconstrction)"))


def parses(read, text):
    try:
        return bool(read(text))
    except TermSyntaxError:
        return False


@pytest.mark.parametrize(
    "text",
    ["l1(a, b)", "10 * l1(a, b)", " 1e-3*step(100_000, 0.5) * l1( a ,b, )", "-.5 * mine.l1(a, eps=1e-3)", "r1(net)",
     "f(x='a, b', y=[1, (2, 3)])", "f()", "linear(1, 0, steps=3) * 2 * f(a)",
     "l1", "10 * ", "l1(a, b", "l1(a b)", "10 l1(a)", "l1(a) * 10", "f(1)", "ramp(1) * l1(a)", "l1(a.b)"],
)  # fmt: skip
def test_the_pattern_of_terms_agrees_with_the_parser(text):
    assert bool(re.search(term_pattern(), text)) == parses(parse_term, text)


@pytest.mark.parametrize(
    "text", ["1", "0.5", "step(100_000, 0.5)", "warmup(10) * step(1, 1)", "warmup(10)*2", "steps(3)", "warmup", "", "*"]
)
def test_the_pattern_of_schedules_agrees_with_the_parser(text):
    assert bool(re.search(SCHEDULE_PATTERN, text)) == parses(parse_weight, text)


def test_types():
    assert type_schema("int | list[int]")["anyOf"][1]["items"]["type"] == ["integer", "string"]
    assert type_schema("Literal['a', 2]") == {"enum": ["a", 2]}
    assert type_schema("dict[str, int] | str") == type_schema("Sequence[int]") == type_schema(None) == {}
    assert or_null(type_schema("bool | None")) == {"anyOf": [{"type": "boolean"}, {"type": "null"}]}
    assert or_null(type_schema("Literal['a', None]")) == {"enum": ["a", None]} and type_schema("Literal[K.A]") == {}
    assert or_null(type_schema("None")) == {"type": ["null"]}
    assert or_null({"type": "string", "enum": ["a"]}) == {"type": ["string", "null"], "enum": ["a", None]}
