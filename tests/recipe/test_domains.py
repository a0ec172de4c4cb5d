"""The section `domains:`: what it takes, and what its mistakes are called."""

import pytest

from i2i_forge.errors import RecipeError
from i2i_forge.recipe.domains import Domain
from i2i_forge.recipe.reading import read_recipe


def mistakes(tmp_path, text):
    """What a recipe with this description of b is told."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: regression_phantom\ndomains:\n  b: {text}\n")
    with pytest.raises(RecipeError) as error:
        read_recipe(file)
    return [line.partition(": ")[2] for line in error.value.message.splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{range: 5}", "domains.b.range: should be [low, high], or percentile: [low, high] with over: training, not 5"),
        ("{range: [2, 1]}", "domains.b.range: should be [low, high] with low below high, not a list"),
        ("{range: [1, 1]}", "domains.b.range: should be [low, high] with low below high, not a list"),
        (
            "{range: {percentile: [0, 101]}}",
            "domains.b.range.percentile.1: should be less than or equal to 100, not 101",
        ),
        ("{range: {percentile: [9, 1]}}", "domains.b.range: should be [low, high] with low below high, not a mapping"),
        ("{range: {percentile: [0, 1], ovr: case}}", "domains.b.range.ovr: there is no such key; did you mean 'over'?"),
        ("{rang: [0, 1]}", "domains.b.rang: there is no such key; did you mean 'range'?"),
        ("{display: {windw: [0, 1]}}", "domains.b.display.windw: there is no such key; did you mean 'window'?"),
        (
            "{display: {window: [1, 0]}}",
            "domains.b.display.window: should be [low, high] with low below high, not a list",
        ),
        ("{write: {as: 5}}", "domains.b.write.as: should be text, not 5"),
        ("{write: {type: int16}}", "domains.b.write.type: there is no such key; did you mean 'dtype'?"),
        ("{write: {dtype: int99}}", "domains.b.write.dtype: should be training, uint8, int8, uint16, int16, "),
        ("{channels: []}", "domains.b.channels: should not be empty"),
        ("{channels: 0}", "domains.b.channels: should be "),
        ("{channels: T1}", "domains.b.channels: should be a list, [one, two], not 'T1'"),
        ("{channels: [T1, T1]}", "domains.b: should be described with channel T1 once"),
        ("{channels: [{nme: T1}]}", "domains.b.channels.0.nme: there is no such key; did you mean 'name'?"),
        ("{channels: [{kind: rgb8}]}", "domains.b: should be described with channels of kind measure or labels"),
        ("{channels: [T1, T2], display: {colour: [T1, T3, ~]}}", "domains.b: should be described with a channel T3"),
        ("{kind: labels, values: [1]}", "domains.b: should be described with at least two `values`, each once"),
        ("{kind: labels, values: [1, 1, 2]}", "domains.b: should be described with at least two `values`, each once"),
        (
            "{kind: rgb8, range: [0, 1]}",
            "domains.b: should be rgb8 without range, convert and curve, or of `kind:",
        ),
        ("{curve: exp}", "domains.b.curve: should be 'linear', 'log1p' or 'sqrt', not 'exp'"),
        ("{curve: {asinh: -1}}", "domains.b.curve.asinh: should be greater than 0, not -1"),
        ("{curve: {gama: 1}}", "domains.b.curve.gama: there is no such key; did you mean 'gamma'?"),
        ("{convert: {times: 0}}", "domains.b.convert.times: should be a number other than 0"),
        ("{convert: dB}", "domains.b.convert: should be 'none', 'db' or 'db20', not 'dB'"),
        ("{nodata: none}", "domains.b.nodata: should be 'file' or 'nan', not 'none'"),
        ("{fill: high}", "domains.b.fill: should be 'low' or 'mean', not 'high'"),
        ("{axes: {z: slice}}", "domains.b.axes.z: should be 'slices', 'channels', 'middle' or 'max', not 'slice'"),
        ("{neighbours: -1}", "domains.b.neighbours: should be greater than or equal to 0, not -1"),
        ("5", "domains.b: should be a mapping, {key: value}, not 5"),
    ],
)
def test_each_mistake_is_named_once(tmp_path, text, said):
    found = [line.partition(" ")[2] if line[:1].isdigit() else line for line in mistakes(tmp_path, text)]
    assert len(found) == 1 and said in found[0], found


def test_a_range_must_be_said(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: pix2pix_synthetic\ndomains: {b: {unit: HU}}\n")
    with pytest.raises(RecipeError, match=r"domains\.b: should be described with a `range`: \[low, high\] in its unit"):
        read_recipe(file)


def test_what_is_not_said():
    plain = Domain()
    assert [c.kind for c in plain.quantities()] == ["rgb8"] and plain.write.dtype == "training"
    assert [c.kind for c in Domain.model_validate({"display": {"colour": "grey"}}).quantities()] == ["rgb8"]
    said = Domain.model_validate({"range": [0, 1], "unit": "K", "channels": ["x", {"name": "y", "range": [0, 9]}]})
    assert [(c.name, c.kind, c.unit, c.range) for c in said.quantities()] == [
        ("x", "measure", "K", (0, 1)), ("y", "measure", "K", (0, 9))
    ]  # fmt: skip
    assert len(Domain.model_validate({"range": [0, 1], "channels": 7}).quantities()) == 7


def test_a_recipe_without_domains_says_nothing_of_them():
    assert "domains" not in read_recipe("pix2pix_synthetic").to_data()
    assert "domains" not in read_recipe("pix2pix_synthetic").to_yaml()
    described = read_recipe("regression_phantom").to_data()["domains"]
    assert described["b"]["range"] == [-1024, 3071] and described["a"]["range"]["in"] == "mask"
