"""Curves as small multiples, to be drawn as SVG: a chart for each term, a line for each route or run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from i2i_forge.study.page.run_report import Points, RunReport

WIDTH, HEIGHT = 320, 180
LEFT, RIGHT, TOP, BOTTOM = 42, 308, 10, 154  # of the field that the lines are in
BINS = 48
COLOURS = 8  # classes s0 to s7 of style.css; further lines are dashed
LOG_FROM = 100.0  # the ratio of the largest to the smallest value from which an axis is logarithmic


@dataclass(frozen=True)
class Line:
    """A curve: what it is called, the number of its colour, its points by step."""

    label: str
    colour: int
    points: Points


@dataclass(frozen=True)
class Curve:
    """A line in the field: its class, the places it goes through, and the outline of its band, if it has one."""

    style: str
    places: Points
    band: Points


@dataclass(frozen=True)
class Chart:
    """What is drawn: the curves with their names, and the marks of both axes, each with its text."""

    title: str
    labels: Sequence[str]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    curves: Sequence[Curve]


Multiples = tuple[list[Chart], dict[str, str]]  # with the legend: label -> class


def run_curves(run: RunReport) -> Multiples:
    """A chart for each term of a run, its routes in one."""
    colours = {route: number for number, route in enumerate(run.routes)}
    lines: dict[str, list[Line]] = {}
    for name, points in run.terms.items():
        phase, term, route = name.split("/")
        lines.setdefault(f"{phase}.{term}", []).append(Line(route, colours.setdefault(route, len(colours)), points))
    return _multiples(lines, colours, bands=True)


def compared_curves(runs: Sequence[RunReport]) -> Multiples:
    """A chart for each term and route; runs of one group have one colour."""
    colours: dict[str, int] = {}
    lines: dict[str, list[Line]] = {}
    for run in runs:
        colour = colours.setdefault(run.place.column, len(colours))
        for name, points in run.terms.items():
            phase, term, route = name.split("/")
            lines.setdefault(f"{phase}.{term} {route}", []).append(Line(run.place.name, colour, points))
    return _multiples(lines, colours, bands=False)


def _multiples(lines: Mapping[str, list[Line]], legend: Mapping[str, int], *, bands: bool) -> Multiples:
    last = max((line.points[-1][0] for some in lines.values() for line in some), default=0)
    charts = [chart(title, some, last, bands=bands) for title, some in lines.items()]
    return charts, {label: _style(colour) for label, colour in legend.items()}


def chart(title: str, lines: Sequence[Line], last: float, *, bands: bool = False) -> Chart:
    """One chart: `lines` over the steps up to `last`; `bands` show the range that each place of a line is a mean of."""
    binned = [(line, _bins(line.points)) for line in lines]
    x, y = Scale(0, last or 1), scale_of([mean for _, bins in binned for _, _, mean, _ in bins])

    def places(points: Points) -> Points:
        return [(_across(x(step)), _up(y(value))) for step, value in points]

    curves = []
    for line, bins in binned:
        edge = [(at, high) for at, _, _, high in bins] + [(at, low) for at, low, _, _ in reversed(bins)]
        middle = places([(at, mean) for at, _, mean, _ in bins])
        curves.append(Curve(_style(line.colour), middle, places(edge) if bands else []))
    return Chart(
        title, [line.label for line in lines], [(_across(x(step)), short(step)) for step in x.ticks()],
        [(_up(y(value)), short(value)) for value in y.ticks()], curves,
    )  # fmt: skip


def _bins(points: Points) -> list[tuple[float, float, float, float]]:
    """Neighbouring points together: their mean step, and the smallest, mean and largest value."""
    size = -(-len(points) // BINS)
    found = []
    for start in range(0, len(points), size):
        chunk = points[start : start + size]
        values = [value for _, value in chunk]
        at = sum(step for step, _ in chunk) / len(chunk)
        found.append((at, min(values), sum(values) / len(values), max(values)))
    return found


def _style(colour: int) -> str:
    return f"s{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")


def _across(part: float) -> float:
    return round(LEFT + part * (RIGHT - LEFT), 1)


def _up(part: float) -> float:
    return round(BOTTOM - part * (BOTTOM - TOP), 1)


@dataclass(frozen=True)
class Scale:
    """Maps low..high to 0..1, linearly or by logarithm; values outside are clamped."""

    low: float
    high: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers from low to high: three to six, in steps of 1, 2 or 5 times a power of ten, or those powers."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        least = (self.high - self.low) / 3
        power = 10.0 ** math.floor(math.log10(least))
        step = max(factor * power for factor in (1, 2, 5) if factor * power <= least * (1 + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale_of(values: Sequence[float]) -> Scale:
    """An axis for values: logarithmic where all are positive and far apart; from 0 where that is near."""
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_FROM:
        return Scale(low, high, is_log=True)
    if 0 <= low < high / 2:
        low = 0.0
    if high - low < 1e-9 * max(abs(high), 1e-30):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    return Scale(low, high)


def short(value: float) -> str:
    """A number for an axis: 1,500 is 1.5k, 0.0002 is 0.0002, 1e-7 is 1e-07."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"
