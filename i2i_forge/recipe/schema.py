"""The shape of a recipe: which keys there are and what they mean. Component options are checked elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from i2i_forge.recipe.domains import Domain
from i2i_forge.recipe.section import Count, Name, Number, Positive, Section

MOST_SHOWN = 1000  # images, or styles, in one picture
MOST_STYLES = 10_000  # of one input
MOST_SECONDS = 10**8  # three years: above it, timers overflow
Shown = Annotated[int, Field(strict=True, ge=1, le=MOST_SHOWN)]
RULES = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}  # of optimizers: torch's classes
Seconds = Annotated[Number, Field(gt=0, le=MOST_SECONDS)]


def _no_fp16(value: Any) -> Any:
    if value in ("fp16", "float16", "half"):
        raise PydanticCustomError("no_fp16", "bf16 (numbers above 65504 overflow in fp16; bf16 has the range of fp32)")
    return value


class _Component(BaseModel):
    """`use` names a registered component; the other keys are its constructor's keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    use: str

    @property
    def options(self) -> dict[str, Any]:
        """The component's own keyword arguments."""
        return dict(self.model_extra or {})


class Data(_Component):
    """A stream of images. A nested mapping that has `use` is another, independent stream, by name."""

    batch: Annotated[int, Field(strict=True, ge=1, le=2**16)] = 1
    """Images per step and domain, of all ranks together."""
    workers: Annotated[int, Field(strict=True, ge=0, le=1024)] = 2
    """Processes that prepare images; 0: none."""
    timeout: Seconds = 300.0
    """Seconds without a batch after which such a process counts as hanging."""

    @property
    def options(self) -> dict[str, Any]:
        """The data set's own keyword arguments, without the other streams."""
        return {key: value for key, value in super().options.items() if not _is_stream(value)}

    @property
    def streams(self) -> dict[str, Data]:
        """All streams: the main one is called "main"."""
        others = {key: Data(**value) for key, value in super().options.items() if _is_stream(value)}
        return {"main": self, **others}


class Network(_Component):
    """One role's network; `per` builds one for each domain, without it the domains share it.

    `per: {a: {width: 32}, b: {}}` gives a domain options of its own.
    """

    per: list[Name] | dict[Name, dict[Name, Any]] | None = None

    def built(self) -> dict[str, _Component]:
        """What is built: by domain, or "shared"."""
        if self.per is None:
            return {"shared": _Component(use=self.use, **self.options)}
        own = self.per if isinstance(self.per, dict) else {key: {} for key in self.per}
        return {domain: _Component(**{"use": self.use, **self.options, **changes}) for domain, changes in own.items()}


class Optimizer(_Component):
    """How the parameters of some roles are updated. The entry without `roles` takes those that no other entry names."""

    use: str = "adam"
    lr: Positive
    roles: list[Name] | None = None
    schedule: Number | str = 1.0
    """A factor on the learning rate."""
    clip: Positive | None = None
    """Largest gradient norm over the entry's parameters together."""


class Phase(Section):
    """One player's turn: the roles it trains and the terms it minimizes."""

    trains: Annotated[list[Name], Field(min_length=1)]
    minimize: dict[Name, str | dict[Name, str]] = {}
    every: Count = 1
    """Takes its turn at every so many steps."""
    stream: Name = "main"
    reuse: dict[Name, Name] = {}
    """Tensor -> the phase whose pass computes it."""


class RunSettings(Section):
    """What a run writes and how often, in steps, and how it computes. None of it changes the training but for rounding,
    for `micro_batch` (dropout, losses that draw, and batch statistics are those of each part), and for `channels_last`
    (dropout draws in the order of memory)."""

    log_every: Count = 50
    sample_every: Count = 1000
    sample_inputs: Shown = 6
    sample_styles: Shown = 4
    checkpoint_every: Count = 1000
    checkpoint_minutes: Positive = 10.0
    """At the latest, whatever checkpoint_every says."""
    keep: Count = 3
    rank_timeout: Seconds = 600.0
    """Seconds that a rank waits for the others before it gives up."""
    rank_check_every: Count = 100
    """The ranks compare their parameters, and before each checkpoint."""
    alarm: Annotated[bool, Field(strict=True)] = True
    """A note when a loss explodes."""
    micro_batch: Count | None = None
    """Images computed at once, the others of the batch after them: less memory."""
    recompute: list[Name] = []
    """Roles that keep no activations for backward: less memory, the same numbers, slower."""
    channels_last: Annotated[bool, Field(strict=True)] = False
    """The layout of weights and activations."""
    compile: list[Name] = []
    """Roles that torch compiles."""
    deterministic: Annotated[bool, Field(strict=True)] = False
    """On CUDA: convolutions that repeat bit for bit, and so exact resumption; slower. A processor always repeats."""
    observers: list[Name] = []
    """Plugins that watch the run if they are named here: tensorboard, wandb."""


class Ema(Section):
    """Averages of weights over the steps, which inference uses in place of the last ones."""

    roles: Annotated[list[Name], Field(min_length=1)]
    half_life: Positive = 10000.0
    """Images after which what was averaged counts half."""
    rampup: Positive = 0.05
    """The half-life is at most this part of the images seen so far."""


class RecipeModel(Section):
    """A whole experiment."""

    trainer: str
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    steps: Count
    precision: Annotated[Literal["fp32", "bf16"], BeforeValidator(_no_fp16)] = "fp32"
    noise: Literal["generator", "counter"] = "generator"
    """Where noise is drawn: by a generator of the processor, or from a counter where the networks are."""
    domains: dict[Name, Domain] = {}
    """What the images are, by domain; 8-bit RGB where nothing is said."""
    data: Data
    networks: Annotated[dict[Name, Network], Field(min_length=1)]
    state: dict[Name, dict[Name, Any]] = {}
    """Options of what the trainer remembers beside its networks."""
    optimizers: Annotated[dict[Name, Optimizer], Field(min_length=1)]
    phases: Annotated[dict[Name, Phase], Field(min_length=1)]
    ema: Ema | None = None
    run: RunSettings = RunSettings()

    def further_images(self) -> frozenset[str]:
        """The names of images that examples hold beside those of domains, or may hold."""
        return frozenset({*self.domains, *(self.data.options.get("files") or {}), *self.valid()})

    def valid(self) -> frozenset[str]:
        """The masks that come with domains that say what their `nodata` is: valid_a."""
        return frozenset(
            f"valid_{name}" for name, domain in self.domains.items() if "nodata" in domain.model_fields_set
        )


def flattened(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted key; an empty mapping is a value too."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{at}.{key}" if at else str(key))
    else:
        yield at, value


def _is_stream(value: Any) -> bool:
    return isinstance(value, dict) and "use" in value
