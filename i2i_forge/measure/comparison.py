"""Records side by side: a column holds only numbers that were made in the same way."""

from __future__ import annotations

import errno
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from i2i_forge.errors import DataError
from i2i_forge.measure.bootstrap import paired
from i2i_forge.measure.records import Record, Side
from i2i_forge.system.files import LARGEST_TEXT, one_line, read_bytes

Key = tuple[object, ...]


@dataclass
class Column:
    """Numbers that may be compared: metric, protocol, counts, network, reference and inputs are the same."""

    example: Record
    cells: dict[Key, tuple[Record, Path]] = field(default_factory=dict)  # row -> record and its folder


def column_facts(record: Record) -> dict[str, object]:
    """What must be equal for two numbers to be compared, by what it is called."""
    n, data, prepared, network = record.n, record.data, record.preprocess, record.backbone
    return {
        "metric": record.metric, "protocol": record.protocol, "inputs": n.inputs,
        "outputs per input": n.outputs_per_input, "real images": n.real, "seeds": len(record.seeds),
        "network": network.id, "weights": network.weights_sha256, "version": network.version, "dtype": network.dtype,
        "reference images": data.reference_list_sha256, "image size": tuple(prepared.size),
        "values seen": prepared.range, "description of the images": prepared.space_sha256, "mask": prepared.mask,
        "resize": prepared.resize, "8-bit rounding": prepared.quantised, "codec": prepared.codec,
        "whether training images were translated": data.split == "train",
        "recipe after an edit": edited_recipe(record),
    }  # fmt: skip


def column_key(record: Record) -> Key:
    """The same, to compare records by."""
    return tuple(column_facts(record).values())


def edited_recipe(record: Record) -> str:
    """SHA-256 of a run's recipe that was edited after it was trained: another version of the run. "" otherwise."""
    extra = record.model.model_extra or {}
    return str(extra.get("recipe_sha256")) if extra.get("edited") else ""


def row_key(record: Record) -> Key:
    """What was measured: a model's weights in a direction, or a folder."""
    extra = record.model.model_extra or {}
    return (
        record.model.name, record.model.weights_sha256, extra.get("step"), extra.get("route"), record.data.name,
        edited_recipe(record),
    )  # fmt: skip


def columns(records: Sequence[tuple[Record, Path]]) -> list[Column]:
    """The records by column, in the order of their first appearance; of two of one row the newer one counts."""
    found: dict[Key, Column] = {}
    for record, folder in records:
        column = found.setdefault(column_key(record), Column(record))
        column.cells[row_key(record)] = record, folder
    return list(found.values())


def difference(column: Column, row: Key, baseline: Key) -> tuple[float, tuple[float, float] | None] | None:
    """How much larger a row's value is than the baseline's, with a 95 % interval over the same inputs and noise.

    None where they cannot be paired: other inputs, other seeds, or values that are no means over inputs.
    """
    (mine, my_folder), (theirs, their_folder) = column.cells[row], column.cells[baseline]
    same = mine.data.list_sha256 == theirs.data.list_sha256 and mine.seeds == theirs.seeds
    if not same or mine.per_input is None or theirs.per_input is None:
        return None
    a, b = per_input(their_folder, theirs.per_input), per_input(my_folder, mine.per_input)
    return paired(a, b) if a and a.keys() == b.keys() else None


def per_input(folder: Path, side: Side) -> Mapping[Any, float]:
    """Input, or group of inputs, -> value, from the file beside a record; empty where it holds other arrays only.

    Raises:
        DataError: the file is missing, is not the one that was written, or holds something else.
    """
    file = folder / side.path
    name = one_line(str(file))
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise OSError(errno.EXDEV, "it lies outside the folder of its record")
        content = read_bytes(file)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}", fix="keep results/ beside results.jsonl") from error
    if hashlib.sha256(content).hexdigest() != side.sha256:
        raise DataError(f"{name} is not what its record says", fix="evaluate again with `forge eval`")
    try:
        return _values(content)
    except Exception as error:  # a stranger's file: whatever numpy stumbles over
        cause = one_line(str(error) or type(error).__name__)
        raise DataError(f"{name} holds no values of inputs: {cause}", fix="evaluate again with `forge eval`") from error


def _values(content: bytes) -> Mapping[Any, float]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(array.file_size for array in packed.infolist()) > LARGEST_TEXT:
            raise ValueError("it unpacks to more than is read")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if "per_group" in arrays:
            return dict(zip(arrays["groups"].tolist(), arrays["per_group"].tolist(), strict=True))
        if "values" not in arrays:
            return {}
        return dict(zip(arrays["inputs"].tolist(), arrays["values"].tolist(), strict=True))


def unlike(columns: Sequence[Column]) -> list[str]:
    """For each metric with several columns, what keeps them apart."""
    texts = []
    for metric in dict.fromkeys(column.example.metric for column in columns):
        facts = [column_facts(column.example) for column in columns if column.example.metric == metric]
        differing = [name for name in facts[0] if len({some[name] for some in facts}) > 1]
        if differing:
            texts.append(f"{metric}: {len(facts)} columns, because they differ in {', '.join(differing)}")
    return texts
