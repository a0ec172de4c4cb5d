"""Curves of losses as small multiples, drawn with PIL: a panel for each term, a line for each route."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

INK, GRID, PALE = (60, 60, 60), (228, 228, 228), 0.72  # how far raw values fade into white
COLOURS = ((31, 100, 180), (210, 90, 20), (40, 140, 70), (150, 60, 160))
SCALE = 2  # drawn so much larger and then reduced, which smooths the lines
WIDTH, HEIGHT, COLUMNS = 340, 210, 3
LEFT, RIGHT, TOP, BOTTOM, HEAD = 50, 14, 28, 36, 34

Curves = Mapping[str, Mapping[str, Sequence[float]]]  # panel -> line -> values


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that span [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(multiple * power for multiple in (1, 2, 5, 10) if multiple * power >= raw)
    return [index * step for index in range(math.floor(low / step), math.ceil(high / step) + 1)]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and its neighbours, `window` of them on both sides, fewer at the ends."""
    reach = [min(window, index, len(values) - 1 - index) for index in range(len(values))]
    return [sum(values[i - r : i + r + 1]) / (2 * r + 1) for i, r in enumerate(reach)]


def draw(title: str, steps: Sequence[int], curves: Curves) -> Image.Image:
    """All panels under a title and a legend. Raw values are pale, their moving means over a tenth of the run bold."""
    columns = min(COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    canvas = Image.new("RGB", (columns * WIDTH * SCALE, (HEAD + rows * HEIGHT) * SCALE), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((12 * SCALE, HEAD // 2 * SCALE), title, INK, _font(16), anchor="lm")
    lines = list(dict.fromkeys(line for panel in curves.values() for line in panel))
    colours = dict(zip(lines, COLOURS * len(lines), strict=False))
    x = canvas.width - 14 * SCALE
    for line in reversed(lines):
        pen.text((x, HEAD // 2 * SCALE), line, colours[line], _font(14), anchor="rm")
        x -= round(pen.textlength(line, _font(14))) + 8 * SCALE
        pen.line([(x - 22 * SCALE, HEAD // 2 * SCALE), (x, HEAD // 2 * SCALE)], colours[line], 3 * SCALE)
        x -= 40 * SCALE
    for index, (name, panel) in enumerate(curves.items()):
        corner = index % columns * WIDTH * SCALE, (HEAD + index // columns * HEIGHT) * SCALE
        _panel(pen, corner, name, steps, panel, colours)
    return canvas.resize((canvas.width // SCALE, canvas.height // SCALE), Image.Resampling.LANCZOS)


def _panel(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, steps: Sequence[int],
    panel: Mapping[str, Sequence[float]], colours: Mapping[str, tuple[int, int, int]],
) -> None:  # fmt: skip
    left, top = corner[0] + LEFT * SCALE, corner[1] + TOP * SCALE
    right, bottom = corner[0] + (WIDTH - RIGHT) * SCALE, corner[1] + (HEIGHT - BOTTOM) * SCALE
    pen.text((left, top - 6 * SCALE), name, INK, _font(13), anchor="lb")
    marks = ticks(*_range([value for values in panel.values() for value in values]))
    low, high, first, last = marks[0], marks[-1], steps[0], max(steps[-1], steps[0] + 1)

    def at(step: float, value: float) -> tuple[float, float]:
        value = min(max(value, low), high)  # a spike ends at the frame
        return left + (step - first) / (last - first) * (right - left), bottom - (value - low) / (high - low) * (
            bottom - top
        )

    for mark in marks:
        pen.line([at(first, mark), at(last, mark)], GRID, SCALE)
        pen.text((left - 5 * SCALE, at(first, mark)[1]), f"{mark:.4g}", INK, _font(11), anchor="rm")
    for mark in ticks(first, last):
        if first <= mark <= last:
            pen.line([at(mark, low), (at(mark, low)[0], bottom + 3 * SCALE)], INK, SCALE)
            pen.text((at(mark, low)[0], bottom + 5 * SCALE), f"{mark:,.0f}", INK, _font(11), anchor="mt")
    pen.text(((left + right) / 2, bottom + 20 * SCALE), "step", INK, _font(11), anchor="mt")
    pen.line([(left, top), (left, bottom), (right, bottom)], INK, SCALE)
    for line, values in panel.items():
        colour = colours[line]
        pale = tuple(round(c + (255 - c) * PALE) for c in colour)
        pen.line([at(*point) for point in zip(steps, values, strict=True)], pale, SCALE)
    for line, values in panel.items():
        bold = smoothed(values, max(1, len(values) // 20))
        pen.line([at(*point) for point in zip(steps, bold, strict=True)], colours[line], 2 * SCALE, joint="curve")


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Of all values but the wildest fiftieth on each side; from zero when that is near."""
    ordered = sorted(values)
    cut = len(ordered) // 50
    low, high = ordered[cut], ordered[-1 - cut]
    if 0 < low < 0.5 * high:
        low = 0.0
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)
