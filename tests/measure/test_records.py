import json

import numpy as np
import pytest
import torch
from toys import Noise, catalog

from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import Tools
from i2i_forge.measure.comparison import columns, difference, per_input, row_key, unlike
from i2i_forge.measure.evaluate import Evaluation
from i2i_forge.measure.plans import choose, plan
from i2i_forge.measure.recording import write_records
from i2i_forge.measure.records import FILE, Record, read


def measure(folder, samples=None, metrics=("brightness", "distance"), seeds=(0,), **counts):
    samples = samples or Noise()
    plans = plan(catalog(), choose(catalog(), metrics), samples, **counts)
    evaluation = Evaluation(samples, plans, Tools(torch.device("cpu")), seeds=seeds)
    return write_records(evaluation, evaluation.run(), folder, {"seconds": 1.5})


def named(name):
    samples = Noise()
    samples.model["name"] = name
    return samples


def test_a_record_says_what_it_is_of(tmp_path):
    brightness, distance = measure(tmp_path)
    assert read(tmp_path / FILE) == [brightness, distance]
    assert (brightness.metric, brightness.protocol, brightness.n.inputs, brightness.n.outputs_per_input) == (
        "brightness", "few/1", 3, 2)  # fmt: skip
    assert brightness.ci95[0] <= brightness.value <= brightness.ci95[1]
    assert brightness.ci_method == "input-bootstrap"
    assert brightness.backbone.id == "mean-colour"
    assert brightness.preprocess.size == [8, 6]
    assert brightness.model.weights_sha256 == "ab"
    assert distance.data.reference_list_sha256 and not brightness.data.reference_list_sha256
    assert distance.n.real == 4
    assert brightness.warnings == []


def test_a_line_fits_the_published_schema(tmp_path):
    measure(tmp_path)
    line = json.loads((tmp_path / FILE).read_text().splitlines()[0])
    schema = Record.model_json_schema(by_alias=True)
    assert set(schema["required"]) <= set(line) <= set(schema["properties"])
    assert line["schema"] == 1
    assert schema["additionalProperties"] is False


def test_records_are_appended(tmp_path):
    measure(tmp_path)
    measure(tmp_path)
    assert len(read(tmp_path / FILE)) == 4


def test_per_input_values_lie_beside_with_their_hash(tmp_path):
    brightness, distance = measure(tmp_path)
    assert distance.per_input is None
    values = per_input(tmp_path, brightness.per_input)
    assert set(values) == {0, 1, 2}
    assert np.mean(list(values.values())) == pytest.approx(brightness.value)
    (tmp_path / brightness.per_input.path).write_bytes(b"something else")
    with pytest.raises(DataError, match="is not what its record says"):
        per_input(tmp_path, brightness.per_input)
    (tmp_path / brightness.per_input.path).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        per_input(tmp_path, brightness.per_input)


def test_a_deviation_is_recorded(tmp_path):
    (record,) = measure(tmp_path, metrics=("brightness",), inputs=2)
    assert record.warnings == ["not few/1 as it is meant: 2 inputs instead of 3"]


def test_seeds_are_recorded(tmp_path):
    (record,) = measure(tmp_path, metrics=("brightness",), seeds=(0, 1, 2))
    assert record.seeds == [0, 1, 2] and len(record.per_seed) == 3
    assert record.value == pytest.approx(sum(record.per_seed) / 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": "few"}, "protocol"),
        ({"value": float("nan")}, "value"),
        ({"surprise": 1}, "surprise"),
        ({"schema": 2}, "schema"),
        ({"n": {}}, "n.inputs"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path, change, says):
    (record,) = measure(tmp_path, metrics=("brightness",))
    line = record.model_dump(mode="json", exclude_none=True) | change
    (tmp_path / FILE).write_text(f"{record.model_dump_json(exclude_none=True)}\n{json.dumps(line)}\n")
    with pytest.raises(DataError, match=r"results.jsonl:2: this is not a record") as caught:
        read(tmp_path / FILE)
    assert says in caught.value.message


def test_a_value_that_is_not_finite_is_never_written():
    fields = Record.model_json_schema(by_alias=True)["properties"]
    assert fields["value"]["type"] == "number"
    with pytest.raises(ValueError, match="finite"):
        Record.model_validate({"value": float("inf")})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        measure(tmp_path / "file")


# ---- side by side --------------------------------------------------------------------------------------------------


def table(*runs):
    """columns() of (folder, records)."""
    return columns([(record, folder) for folder, records in runs for record in records])


def test_numbers_made_alike_share_a_column(tmp_path):
    a, b = measure(tmp_path / "a", named("a")), measure(tmp_path / "b", named("b"))
    found = table((tmp_path / "a", a), (tmp_path / "b", b))
    assert [len(column.cells) for column in found] == [2, 2]
    assert unlike(found) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"inputs": 2}, "inputs"),
        ({"draws": 3}, "outputs per input"),
        ({"seeds": (0, 1)}, "seeds"),
        ({"samples": Noise(size=(6, 6))}, "image size"),
        ({"samples": Noise(codec="jpeg")}, "8-bit rounding, codec"),
        ({"samples": Noise(split="train")}, "whether training images were translated"),
    ],
)
def test_numbers_made_otherwise_never_share_a_column(tmp_path, options, why):
    a = measure(tmp_path / "a", metrics=("brightness",))
    b = measure(tmp_path / "b", metrics=("brightness",), **options)
    found = table((tmp_path / "a", a), (tmp_path / "b", b))
    assert len(found) == 2
    assert unlike(found) == [f"brightness: 2 columns, because they differ in {why}"]


def test_another_reference_is_another_column(tmp_path):
    class Other(Noise):
        def image(self, *key):
            return super().image(*(("other", *key) if key[0] == "real" else key))

    a, b = measure(tmp_path / "a"), measure(tmp_path / "b", Other())
    found = table((tmp_path / "a", a), (tmp_path / "b", b))
    assert unlike(found) == ["distance: 2 columns, because they differ in reference images"]


@pytest.mark.parametrize(("field", "value"), [("id", "other"), ("weights_sha256", "1" * 64), ("version", "2")])
def test_another_network_is_another_column(tmp_path, field, value):
    (record,) = measure(tmp_path, metrics=("brightness",))
    other = record.model_copy(update={"backbone": record.backbone.model_copy(update={field: value})})
    assert len(table((tmp_path, [record, other]))) == 2


def test_the_newest_of_a_row_counts(tmp_path):
    (record,) = measure(tmp_path, metrics=("brightness",))
    newer = record.model_copy(update={"value": 9.0})
    (column,) = table((tmp_path, [record, newer]))
    assert [cell.value for cell, _ in column.cells.values()] == [9.0]


def test_a_difference_is_paired_over_the_same_inputs(tmp_path):
    class Brighter(Noise):
        def image(self, *key):
            return super().image(*key) * 0.5 + (0.25 if isinstance(key[0], int) and len(key) == 3 else 0)

    a = measure(tmp_path / "a", named("a"), ("brightness",))
    brighter = Brighter()
    brighter.model["name"] = "b"
    b = measure(tmp_path / "b", brighter, ("brightness",))
    b[0].data.list_sha256 = a[0].data.list_sha256  # the toy halves its inputs too
    (column,) = table((tmp_path / "a", a), (tmp_path / "b", b))
    gap, (low, high) = difference(column, row_key(b[0]), row_key(a[0]))
    assert gap == pytest.approx(b[0].value - a[0].value)
    assert low <= gap <= high
    b[0].data.list_sha256 = "0"
    assert difference(column, row_key(b[0]), row_key(a[0])) is None


def test_values_that_are_no_means_have_no_paired_difference(tmp_path):
    a, b = measure(tmp_path / "a", named("a"), ("distance",)), measure(tmp_path / "b", named("b"), ("distance",))
    (column,) = table((tmp_path / "a", a), (tmp_path / "b", b))
    assert difference(column, row_key(b[0]), row_key(a[0])) is None
