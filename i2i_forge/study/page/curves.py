"""Curves as small multiples, drawn as SVG: a chart for each term, a line for each route or run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from i2i_forge.study.page.markup import Html, join, tag
from i2i_forge.study.page.run_report import Points, RunReport
from i2i_forge.study.page.scale import Scale, scale_of, short

WIDTH, HEIGHT = 320, 180
LEFT, RIGHT, TOP, BOTTOM = 42, 308, 10, 154  # of the field that the lines are in
BINS = 48
COLOURS = 8  # classes s0 to s7 of style.css; further lines are dashed


@dataclass(frozen=True)
class Line:
    """A curve: what it is called, the number of its colour, its points by step."""

    label: str
    colour: int
    points: Points


def run_curves(run: RunReport) -> Html:
    """A chart for each term of a run, its routes in one."""
    colours = {route: number for number, route in enumerate(run.routes)}
    charts: dict[str, list[Line]] = {}
    for name, points in run.terms.items():
        phase, term, route = name.split("/")
        charts.setdefault(f"{phase}.{term}", []).append(Line(route, colours.setdefault(route, len(colours)), points))
    return _multiples(charts, colours, bands=True)


def compared_curves(runs: Sequence[RunReport]) -> Html:
    """A chart for each term and route; runs of one group have one colour."""
    colours: dict[str, int] = {}
    charts: dict[str, list[Line]] = {}
    for run in runs:
        label = run.place.column
        colour = colours.setdefault(label, len(colours))
        for name, points in run.terms.items():
            phase, term, route = name.split("/")
            charts.setdefault(f"{phase}.{term} {route}", []).append(Line(run.place.name, colour, points))
    return _multiples(charts, colours, bands=False)


def _multiples(charts: Mapping[str, list[Line]], legend: Mapping[str, int], *, bands: bool) -> Html:
    if not charts:
        return tag("p", "No step has been recorded yet.", class_="note")
    known = [tag("span", _swatch(colour), label, class_="key") for label, colour in legend.items()]
    last = max(line.points[-1][0] for lines in charts.values() for line in lines)
    figures = [
        tag("figure", tag("figcaption", title), chart(title, lines, last, bands=bands))
        for title, lines in charts.items()
    ]
    said = "Losses before their weights, over steps, as means of neighbouring records"
    said += "; the bands reach from the smallest to the largest." if bands else "."
    return join(
        [tag("p", said, class_="note"), tag("p", *known, class_="legend"), tag("div", *figures, class_="charts")]
    )


def chart(title: str, lines: Sequence[Line], last: float, *, bands: bool = False) -> Html:
    """One chart: `lines` over the steps up to `last`; `bands` show the range that each place of a line is a mean of."""
    binned = [(line, _bins(line.points)) for line in lines]
    means = [mean for _, bins in binned for _, _, mean, _ in bins]
    x, y = Scale(0, last or 1), scale_of(means)
    shown: list[Html] = [tag("title", f"{title}: {', '.join(line.label for line in lines)}"), *_axes(x, y)]
    for line, bins in binned:
        style = f"s{line.colour % COLOURS}" + (" dashed" if line.colour >= COLOURS else "")
        if bands:
            edge = [(at, high) for at, _, _, high in bins] + [(at, low) for at, low, _, _ in reversed(bins)]
            shown.append(tag("polygon", points=_path(edge, x, y), class_=f"band {style}"))
        places = [(at, mean) for at, _, mean, _ in bins]
        if len(places) == 1:
            across, up = _place(*places[0], x, y)
            shown.append(tag("circle", cx=f"{across:.1f}", cy=f"{up:.1f}", r=2.5, class_=f"dot {style}"))
        shown.append(tag("polyline", points=_path(places, x, y), class_=f"line {style}"))
    return tag("svg", *shown, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart")


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


def _axes(x: Scale, y: Scale) -> list[Html]:
    shown = [tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")]
    for value in y.ticks():
        _, up = _place(0, value, x, y)
        shown.append(tag("line", x1=LEFT, x2=RIGHT, y1=f"{up:.1f}", y2=f"{up:.1f}", class_="grid"))
        shown.append(tag("text", short(value), x=LEFT - 6, y=f"{up + 3.5:.1f}", text_anchor="end"))
    for step in x.ticks():
        across, _ = _place(step, y.low, x, y)
        shown.append(tag("text", short(step), x=f"{across:.1f}", y=BOTTOM + 16, text_anchor="middle"))
    return shown


def _place(step: float, value: float, x: Scale, y: Scale) -> tuple[float, float]:
    return LEFT + x(step) * (RIGHT - LEFT), BOTTOM - y(value) * (BOTTOM - TOP)


def _path(points: Points, x: Scale, y: Scale) -> str:
    return " ".join(f"{across:.1f},{up:.1f}" for across, up in (_place(*point, x, y) for point in points))


def _swatch(colour: int) -> Html:
    style = f"line s{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")
    return tag("svg", tag("line", x1=0, x2=22, y1=5, y2=5, class_=style), viewBox="0 0 22 10", class_="swatch")
