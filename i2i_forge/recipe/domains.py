"""What the images of a domain are: the section `domains:` of a recipe. A name without description is 8-bit RGB.

It says what numbers mean; where files lie is said in `data:`. How values become what a network sees, and back, is in
`i2i_forge/data/space.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from i2i_forge.recipe.section import Count, Name, Number, Positive, Section

MOST_CHANNELS = 1024
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
Whole = Annotated[int, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]


def _not_zero(value: float) -> float:
    if value == 0:
        raise PydanticCustomError("zero", "a number other than 0: codes are made of values again")
    return value


def _type(value: str) -> str:
    if value not in ("training", *TYPES):
        raise PydanticCustomError("dtype", "{say}", {"say": f"training, {', '.join(TYPES)}"})
    return value


class Percentile(Section):
    """A range that is found in the images."""

    percentile: tuple[Annotated[Number, Field(ge=0, le=100)], Annotated[Number, Field(ge=0, le=100)]]
    """Of the values, from 0 to 100; the very values of images, none between them."""
    over: Literal["training", "case"] = "training"
    """All training images, or each case by itself: for images without a unit, that are not translated into."""
    within: Annotated[str, Field(alias="in")] = "all"
    """Which pixels: all, nonzero, or the name of a further image that is a mask."""


class Scale(Section):
    """A linear conversion: value = times * stored + plus; `times` is not 0."""

    times: Annotated[Number, AfterValidator(_not_zero)] = 1.0
    plus: Number = 0.0


class Bend(Section):
    """A curve with a number, of v - low."""

    asinh: Positive | None = None
    """asinh((v - low) / asinh): linear below that value, logarithmic above."""
    gamma: Positive | None = None
    """((v - low) / (high - low)) ** gamma."""

    @model_validator(mode="after")
    def _one(self) -> Bend:
        if (self.asinh is None) == (self.gamma is None):
            raise PydanticCustomError("bend", "{say}", {"say": "one of {asinh: NUMBER} and {gamma: NUMBER}"})
        return self


class Origin(Percentile):
    """Where a range of numbers was found."""

    cases: Count
    """How many."""
    sha256: Annotated[str, Field(strict=True)]
    """Of the names and sizes of their files."""


def _rising(value: Any) -> Any:
    ends = value.get("percentile") if isinstance(value, dict) else value
    if isinstance(ends, list | tuple) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends):
        if not ends[0] < ends[1]:
            raise PydanticCustomError("not_rising", "[low, high] with low below high")
        return value
    raise PydanticCustomError("no_range", "[low, high], or percentile: [low, high] with over: training")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _window(value: Any) -> Any:
    return value if value is None else _rising(value)


Range = Annotated[tuple[Number, Number] | Percentile, BeforeValidator(_rising)]
Nodata = Annotated[tuple[Literal["file", "nan"] | Number, ...], BeforeValidator(_listed)]


class Quantity(Section):
    """What the numbers of one channel are, or of all channels alike."""

    kind: Literal["rgb8", "grey8", "measure", "labels", "weight"] | None = None
    """8-bit colour or grey, measured values, whole numbers that name things, or weights of pixels in their own unit."""
    range: Range | None = None
    """Values in `unit` that become -1 and 1."""
    range_from: Origin | None = None
    """How it was found; a run writes it down."""
    convert: Literal["none", "db", "db20"] | Scale = "none"
    """From what files store to `unit`: db is 10 log10, db20 is 20 log10."""
    curve: Literal["linear", "log1p", "sqrt"] | Bend = "linear"
    """How a network sees the values between the ends of `range`; no metric is changed by it."""
    unit: Text = "none"
    """HU, K, dB, reflectance, counts."""
    nodata: Nodata = ("file",)
    """Stored values that stand for none: numbers, nan, and what the file says; [] for none at all."""
    fill: Literal["low", "mean"] | Number = "low"
    """What takes the place of no data, in `unit`, and comes in from outside when images are turned."""
    clip: Literal["clip", "refuse"] = "clip"
    """What is done with values outside the range."""
    values: list[Whole] | None = None
    """The labels that there are."""


class Channel(Quantity):
    """One channel, which may differ from its domain in everything."""

    name: Text = ""
    band: Count | None = None
    """Its number in the file, from 1; by default the band of this name."""


class Display(Section):
    """How images of the domain are shown, and what networks made for photographs see of them."""

    window: Annotated[tuple[Number, Number] | None, BeforeValidator(_window)] = None
    """Values in `unit` that become black and white; by default the range."""
    colour: Literal["grey", "magma", "each"] | tuple[Text | None, Text | None, Text | None] = "grey"
    """A scale of colours, or the channels shown as red, green and blue."""


class Write(Section):
    """How translations into the domain are written."""

    format: Annotated[str, Field(alias="as")] = "source"
    """A registered file format, or that of the source's file."""
    dtype: Annotated[Text, AfterValidator(_type)] = "training"
    """int16, uint8 ...; by default that of the training files."""
    slope: Positive = 1.0
    offset: Number = 0.0
    outside: dict[Name, Literal["fill"]] = {}
    """Further images, outside of which a translation is blanked: {mask: fill}."""


class Domain(Quantity):
    """One kind of image."""

    channels: (
        Annotated[list[Text | Channel], Field(min_length=1, max_length=MOST_CHANNELS)]
        | Annotated[int, Field(strict=True, ge=1, le=MOST_CHANNELS)]
    ) = 1
    """How many, or their names: which bands of the files, in which order."""
    axes: dict[Name, Literal["slices", "channels", "middle", "max"] | Whole] = {}
    """What is done with an axis of the files that is neither channel, row nor column."""
    neighbours: Annotated[int, Field(strict=True, ge=0, le=64)] = 0
    """So many slices on each side join as channels."""
    share: Annotated[bool, Field(strict=True)] = False
    """One range of percentiles for all channels."""
    polarity: Literal["stored", "white_is_high"] = "stored"
    """Whether what files show inverted is inverted."""
    of: Name | None = None
    """The domain that a further image belongs to, in unpaired data."""
    display: Display = Display()
    write: Write = Write()

    @model_validator(mode="after")
    def _complete(self) -> Domain:
        self._check_channels()
        for channel in self.quantities():
            if channel.kind == "measure" and channel.range is None:
                raise PydanticCustomError("no_range", "{say}", {"say": _missing(channel)})
            values = channel.values if channel.kind == "labels" else None
            if values is not None and (len(values) < 2 or len(set(values)) < len(values)):
                raise PydanticCustomError("labels", "described with at least two `values`, each once")
            if channel.kind in ("rgb8", "grey8") and channel.model_fields_set & {"range", "convert", "curve"}:
                raise PydanticCustomError(
                    "no_range",
                    "{kind} without range, convert and curve, or of `kind: measure`",
                    {"kind": channel.kind},
                )
        if self.kind == "rgb8" and (self.channels != 1 or self.neighbours):
            raise PydanticCustomError("rgb8", "without `channels` and `neighbours`: rgb8 has three of its own")
        return self

    def _check_channels(self) -> None:
        several = self.channels if isinstance(self.channels, list) else []
        if any(isinstance(one, Channel) and one.kind in ("rgb8", "grey8", "weight") for one in several):
            raise PydanticCustomError("channel", "described with channels of kind measure or labels")
        names = [one if isinstance(one, str) else one.name for one in several]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise PydanticCustomError("twice", "described with channel {name} once", {"name": twice[0]})
        shown = self.display.colour if isinstance(self.display.colour, tuple) else ()
        if self.kind != "rgb8" and (odd := [name for name in shown if name is not None and name not in names]):
            raise PydanticCustomError("shown", "described with a channel {name}, as display.colour shows it",
                                      {"name": odd[0]})  # fmt: skip

    def quantities(self) -> list[Channel]:
        """Each channel of the files, with what it takes over from its domain; the three of rgb8 are one."""
        own = {key: getattr(self, key) for key in self.model_fields_set & Quantity.model_fields.keys()}
        if "kind" not in own:  # `kind: rgb8` goes without saying where nothing else is said of the numbers
            own["kind"] = "measure" if self.model_fields_set - {"display", "write", "of"} else "rgb8"
        several = [""] * self.channels if isinstance(self.channels, int) else self.channels
        named = [Channel(name=each) if isinstance(each, str) else each for each in several]
        return [
            Channel.model_construct(**own | {key: getattr(one, key) for key in one.model_fields_set}) for one in named
        ]


def _missing(channel: Channel) -> str:
    which = f" of channel {channel.name}" if channel.name else ""
    return f"described with a `range`{which}: [low, high] in its unit become -1 and 1; `forge data check` proposes one"


PARTS: dict[str, type[Section]] = {
    "range": Percentile, "convert": Scale, "curve": Bend, "channels": Channel, "display": Display, "write": Write
}  # fmt: skip
"""Key of a description -> what it may hold."""
