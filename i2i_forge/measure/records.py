"""What is written down of a number: everything that another needs to get the same one. A line of results.jsonl each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2i_forge.errors import DataError
from i2i_forge.measure.metric import CiMethod
from i2i_forge.system.files import append_line, lines_in

FILE = "results.jsonl"
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Counts(_Strict):
    """How many went into it."""

    inputs: int
    groups: int | None = None
    outputs_per_input: int
    pairs: int | None = None
    real: int | None = None


class Side(_Strict):
    """A file beside the records that holds arrays: `inputs` and `values` per input, or `groups` and `per_group`, and
    what the metric added."""

    path: str
    sha256: str


class Model(_Open):
    """What made the translations."""

    name: str
    weights_sha256: str


class Data(_Open):
    """What was translated, and what it was compared with; digests are of the pixels, in order."""

    name: str
    split: str
    list_sha256: str
    reference_list_sha256: str


class Preprocess(_Strict):
    """What happened to the images before the metric's network.

    `range` says of images that are not 8-bit RGB which values they have, "-1024..3071 HU", or how they were shown to a
    network made for photographs, "display -160..240 HU as grey"; `space_sha256` is then of all that is said of them.
    `mask` names what limited where they were measured.
    """

    range: str = "[-1, 1]"
    space_sha256: str | None = None
    mask: str | None = None
    size: list[int]
    resize: str
    antialias: bool
    quantised: bool
    codec: str


class BackboneRecord(_Strict):
    """The network whose features were compared; `id` is "pixels" for none."""

    id: str
    weights_sha256: str
    version: str
    is_calibrated: bool = True
    dtype: str = "float32"
    tf32: bool = False


class Environment(_Strict):
    """Where it was computed."""

    package: str
    torch: str
    torchvision: str
    device: str
    deterministic: bool


class Record(_Strict):
    """One number. `schema` is the version of this layout."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True, validate_by_name=True)

    version: Literal[1] = Field(1, alias="schema")
    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[0-9]+$")]
    value: Finite
    unit: str
    direction: Literal["up", "down"]
    se: Finite | None = None
    ci95: tuple[Finite, Finite] | None = None
    ci_method: CiMethod = "none"
    bias_corrected: Finite | None = None
    components: dict[str, Finite] = {}
    n: Counts
    seeds: list[int]
    per_seed: list[Finite]
    per_input: Side | None = None
    model: Model
    data: Data
    preprocess: Preprocess
    backbone: BackboneRecord
    classifier: dict[str, Any] | None = None
    env: Environment
    timing: dict[str, Finite] = {}
    warnings: list[str] = []
    created_utc: str


def append(record: Record, folder: Path) -> None:
    """Add a line to the folder's results.jsonl."""
    append_line(folder / FILE, record.model_dump_json(exclude_none=True))


def read(file: Path, note: Callable[[str], None] = lambda text: None) -> list[Record]:
    """The records of a results.jsonl, oldest first.

    Args:
        note: is told of a line that is cut off, as a full disk or a kill leaves it; it is left out.

    Raises:
        DataError: a line is not a record; it is named.
    """
    try:
        lines = list(lines_in(file))
    except OSError as error:
        raise DataError(
            f"{file} cannot be read: {error}", fix="name a results.jsonl that `forge eval` wrote"
        ) from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(Record.model_validate_json(line.encode(errors="surrogateescape")))
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid" and line.strip("\0")[:1] in ("", "{"):
                note(f"{file}:{number}: this line is cut off, and is left out")
                continue
            where = ".".join(map(str, first["loc"])) or "the line"
            raise DataError(
                f"{file}:{number}: this is not a record of schema 1: {where}: {first['msg']}",
                fix="remove the line, or evaluate again with `forge eval`",
            ) from error
    return records
