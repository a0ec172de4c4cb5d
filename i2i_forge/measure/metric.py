"""What a metric is: a class that is fed images and says what it found, under a protocol that never changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch

from i2i_forge.measure.accumulators import Accumulator
from i2i_forge.measure.batch import Backbone, Batch, Classifier

B = TypeVar("B", bound=Backbone)
Sees = Literal["rgb8", "values", "rgb"]
CiMethod = Literal["input-bootstrap", "group-bootstrap", "paired-bootstrap", "seed-std", "jackknife", "none"]


@dataclass(frozen=True)
class Protocol:
    """How a number is made. A name with a version; a change of anything here is another version.

    Attributes:
        name: "munit-2018/1".
        about: one line: who measured so, and what is particular about it.
        inputs: how many inputs; None: all there are.
        draws: translations of each input.
        real: which split the real images are from, "" for none.
        is_equal: as many real images as translations: the larger set is cut.
        options: what the metric's own code reads, e.g. {"net": "alex", "version": "0.0", "pairs": "disjoint"}.
        sees: what it sees of images, where that is not what its metric says.
    """

    name: str
    about: str
    inputs: int | None = 100
    draws: int = 1
    real: Literal["", "test", "train"] = ""
    is_equal: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    sees: Sees | Literal[""] = ""


@dataclass
class Outcome:
    """What a metric found.

    Attributes:
        value: the number.
        metric: what records call it; by default the metric's name with _ for -.
        per_input: input number -> its own value, where the value is a mean over inputs.
        per_group: group -> its own value, where the value is a mean over groups of inputs.
        se, ci95, ci_method: its uncertainty over inputs: see `bootstrap`.
        bias_corrected: the value without its bias from few samples, where that is known.
        components: further numbers by name.
        pairs, real: how many pairs and real images went into it.
        arrays: larger results by name, written beside the record.
        warnings: what a reader must know.
        per_seed: the values of several seeds, where there were several; filled in by the evaluation.
    """

    value: float
    metric: str = ""
    per_input: Mapping[int, float] | None = None
    per_group: Mapping[str, float] | None = None
    se: float | None = None
    ci95: tuple[float, float] | None = None
    ci_method: CiMethod = "none"
    bias_corrected: float | None = None
    components: dict[str, float] = field(default_factory=dict)
    pairs: int | None = None
    real: int | None = None
    arrays: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    per_seed: tuple[float, ...] = ()


@dataclass
class Tools:
    """What an evaluation lends its metrics.

    Attributes:
        device: where images and networks are.
        backbone: which of the metric's `backbones` the user asked for; "" for its own.
        classifier: of the modes of the target domain; None where none was given.
        is_deterministic: each input has one translation; it is computed once and stands for all `draws`.
    """

    device: torch.device
    backbone: str = ""
    classifier: Classifier | None = None
    is_deterministic: bool = False
    _built: dict[str, Any] = field(default_factory=dict, repr=False)  # shared by copies

    def built(self, key: str, make: Callable[[], B]) -> B:
        """A backbone, built for the first metric that asks."""
        if key not in self._built:
            self._built[key] = make()
        return self._built[key]  # type: ignore[no-any-return]


class Metric:
    """Base of all metrics; register one with `catalog.metrics.add("name", Class)`.

    A metric is fed batches of translations and, if it wants them, of real images, in any grouping, on any number of
    ranks; each rank sees all translations of its inputs. What it remembers is in `accumulators`, which merge; then it
    computes on one rank.

    Attributes:
        direction: whether more is better, or less.
        sees: which images it makes sense of. "rgb8": 8-bit RGB alone; images that are described otherwise are refused.
            "values": any, by what `batch.space` says of their numbers, inside `batch.mask` where there is one. "rgb":
            any with a `display`, as which they are shown to a network made for photographs.
        unit: of the value: "none", "nats", or "values" for that of the images.
        protocols: the first is the default.
        real: whether it wants real images of the target domain.
        wants: what else a batch must have: "sources", "truths".
        needs_several: whether one translation of an input is not enough; a deterministic method's translation counts
            as many times as the protocol says.
        backbones: what a user may ask for instead of its own backbone; "random" is for trying things without weights.
        backbone: what gives the features, for the record; set in `__init__`. None: the pixels themselves.
        accumulators: name -> memory; set in `__init__`.
    """

    direction: ClassVar[Literal["up", "down"]]
    sees: ClassVar[Sees] = "rgb8"
    unit: ClassVar[Literal["none", "nats", "values"]] = "none"
    protocols: ClassVar[Sequence[Protocol]]
    real: ClassVar[Literal["no", "optional", "needed"]] = "no"
    wants: ClassVar[frozenset[str]] = frozenset()
    needs_several: ClassVar[bool] = False
    backbones: ClassVar[Sequence[str]] = ()

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        self.protocol, self.tools = protocol, tools
        self.backbone: Backbone | None = None
        self.accumulators: dict[str, Accumulator] = {}

    def update(self, batch: Batch) -> None:
        """Translations."""
        raise NotImplementedError

    def update_real(self, batch: Batch) -> None:
        """Real images of the target domain."""
        raise NotImplementedError

    def compute(self) -> list[Outcome]:
        """What was found."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What this rank's metric remembers."""
        return {name: memory.state() for name, memory in self.accumulators.items()}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take in what another rank's metric remembers."""
        for name, memory in self.accumulators.items():
            memory.merge(state[name])
