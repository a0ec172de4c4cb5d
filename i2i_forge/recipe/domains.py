"""What the images of a domain are: the section `domains:` of a recipe. A name without description is 8-bit RGB.

It says what numbers mean; where files lie is said in `data:`. How values become what a network sees, and back, is in
`i2i_forge/data/space.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from i2i_forge.recipe.section import Count, Name, Number, Positive, Section

MOST_CHANNELS = 1024
Whole = Annotated[int, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]


class Percentile(Section):
    """A range that is found in the images."""

    percentile: tuple[Annotated[Number, Field(ge=0, le=100)], Annotated[Number, Field(ge=0, le=100)]]
    """Of the values, from 0 to 100; the very values of images, none between them."""
    over: Literal["training", "case"] = "training"
    """All training images, or each case by itself: for images without a unit, that are not translated into."""
    within: Annotated[str, Field(alias="in")] = "all"
    """Which pixels: all, nonzero, or the name of a further image that is a mask."""


class Scale(Section):
    """A linear conversion: value = times * stored + plus."""

    times: Number = 1.0
    plus: Number = 0.0


class Asinh(Section):
    """asinh((v - low) / asinh): linear below that value, logarithmic above."""

    asinh: Positive


class Gamma(Section):
    """((v - low) / (high - low)) ** gamma."""

    gamma: Positive


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
    raise PydanticCustomError("no_range", "[low, high], or {{percentile: [low, high], over: training}}")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


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
    curve: Literal["linear", "log1p", "sqrt"] | Asinh | Gamma = "linear"
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

    window: tuple[Number, Number] | None = None
    """Values in `unit` that become black and white; by default the range."""
    colour: Literal["grey", "magma", "each"] | tuple[Text | None, Text | None, Text | None] = "grey"
    """A scale of colours, or the channels shown as red, green and blue."""


class Write(Section):
    """How translations into the domain are written."""

    format: Annotated[str, Field(alias="as")] = "source"
    """A registered file format, or that of the source's file."""
    dtype: Text = "training"
    """int16, uint8 ...; by default that of the training files."""
    slope: Positive = 1.0
    offset: Number = 0.0
    outside: dict[Name, Literal["fill"]] = {}
    """Further images, outside of which a translation is blanked: {mask: fill}."""


class Domain(Quantity):
    """One kind of image."""

    channels: list[Text | Channel] | Annotated[int, Field(strict=True, ge=1, le=MOST_CHANNELS)] = 1
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
        for channel in self.quantities():
            if channel.kind == "measure" and channel.range is None:
                raise PydanticCustomError("no_range", "{say}", {"say": _missing(channel)})
            if channel.kind == "labels" and channel.values is not None and len(set(channel.values)) < 2:
                raise PydanticCustomError("labels", "described with at least two different `values`")
        if self.kind == "rgb8" and (self.channels != 1 or self.neighbours):
            raise PydanticCustomError("rgb8", "without `channels` and `neighbours`: rgb8 has three of its own")
        return self

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
