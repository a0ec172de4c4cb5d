"""From geometry to pixels: line drawings and soft-shaded renderings, drawn large and reduced."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .curves import Curve
from .materials import Material
from .shapes import ACCENT, LINING, SOLE, UPPER, Shape

OUTLINE, SEAM = 0.0125, 0.0090  # widths of lines, fractions of the frame
FACTOR = 4  # how much larger than the picture the canvas is
INK = 28.0
CHANNELS = {UPPER: (255, 0, 0, 0), SOLE: (0, 255, 0, 0), ACCENT: (0, 0, 255, 0), LINING: (0, 0, 0, 255)}


def _pixels(points: Curve, side: int) -> list[float]:
    return (points * side).round().ravel().tolist()


def _outline(draw: ImageDraw.ImageDraw, curve: Curve, side: int) -> None:
    """A closed line with round corners."""
    points, width = np.concatenate([curve, curve[:1]]) * side, max(1, round(OUTLINE * side))
    draw.line(_pixels(points, 1), fill=255, width=width)
    ahead = points[1:] - points[:-1]
    length = np.hypot(ahead[:, 0], ahead[:, 1])
    bend = (ahead[1:] * ahead[:-1]).sum(axis=1) < 0.9 * length[1:] * length[:-1]
    radius = (width - 1) / 2
    for x, y in [*points[1:-1][bend].tolist(), points[0].tolist()]:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _lines(shape: Shape, size: int) -> np.ndarray:
    """How much of each pixel a line covers, float32 (size, size) in [0, 1]; a part hides the lines behind it."""
    factor = FACTOR if size >= 128 else 2 * FACTOR  # thin lines of a small picture need the finer grid
    side = size * factor
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    for part in shape.parts:
        draw.polygon(_pixels(part.outline, side), fill=0)
        for seam in part.seams:
            draw.line(_pixels(seam, side), fill=255, width=max(1, round(SEAM * side)))
        _outline(draw, part.outline, side)
    return _unit(image.reduce(factor))


def _unit(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32) / 255.0


def line_drawing(shape: Shape, size: int) -> np.ndarray:
    """Domain A: dark lines on white, uint8 (size, size, 3)."""
    grey = (255.0 - _lines(shape, size) * (255.0 - INK) + 0.5).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _roles(shape: Shape, side: int) -> Image.Image:
    """Which part is seen where, one channel for each role."""
    image = Image.new("CMYK", (side, side))  # four channels that are reduced independently (RGBA is not)
    draw = ImageDraw.Draw(image)
    for part in shape.parts:
        draw.polygon(_pixels(part.outline, side), fill=CHANNELS[part.role])
    return image


def _second(shape: Shape, material: Material, upper: Image.Image) -> Image.Image:
    """Where the upper shows the second colour."""
    image = Image.new("L", upper.size)
    polygons = material.motif(shape.box)
    if not polygons:
        return image
    draw = ImageDraw.Draw(image)
    points = _pixels(shape.pose(np.concatenate([polygon for polygon, _ in polygons])), upper.width)
    start = 0
    for polygon, strength in polygons:
        stop = start + polygon.size
        draw.polygon(points[start:stop], fill=strength)
        start = stop
    return ImageChops.darker(image, upper)


def _blurred(image: Image.Image, radius: float) -> np.ndarray:
    """Gaussian blur, the radius a fraction of the frame: float32 (size, size) in [0, 1]."""
    return _unit(image.filter(ImageFilter.GaussianBlur(radius * image.width)))


def _shadow(shape: Shape, size: int) -> np.ndarray:
    """The soft shadow on the ground, float32 (size, size) in [0, 1]."""
    left, _, right, _ = shape.box
    (x0, y0), (x1, y1) = (shape.pose(np.array([(left + 0.04, 0.02), (right - 0.02, -0.02)])) * size).tolist()
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).ellipse((x0, y0, x1, y1), fill=255)
    return _blurred(image, 0.013)


def _relief(body: Image.Image) -> np.ndarray:
    """Light on a rounded body, float32 (size, size) around 0: brighter where the surface faces up, darker below."""
    soft = _blurred(body, 0.032)
    rise = np.zeros_like(soft)
    rise[1:-1] = (soft[2:] - soft[:-2]) * (0.032 * body.width)
    return rise


def rendering(shape: Shape, material: Material, size: int) -> np.ndarray:
    """Domain B: the shape in a material on white with a soft shadow, uint8 (size, size, 3)."""
    roles = _roles(shape, size * FACTOR)
    second = _unit(_second(shape, material, roles.getchannel(0)).reduce(FACTOR))
    masks = roles.reduce(FACTOR).split()
    upper, sole, accent, lining = (_unit(mask) for mask in masks)
    shade = _relief(ImageChops.add(ImageChops.add(masks[0], masks[2]), masks[3]))
    light, rubber = np.maximum(1.0 + 0.9 * shade, 0.6), 1.0 + 0.5 * _relief(masks[1])
    gleam = material.gloss * np.clip(0.9 * shade - 0.12, 0.0, 0.4) * (upper + accent)
    ground = (1.0 - (upper + sole + accent + lining)) * (1.0 - 0.4 * _shadow(shape, size))
    lines = 0.85 * _lines(shape, size)
    white = np.ones(3, dtype=np.float32)
    layers = [
        (light * (upper - second), material.base),
        (light * second, material.second),
        (light * accent, material.accent),
        (rubber * sole, material.sole),
        (lining, material.lining),
        (gleam + ground, white),
    ]
    # A pixel is a sum of colours, each with a weight: one small matrix product for the whole picture.
    weights = np.stack([weight for weight, _ in layers] + [lines])
    weights[:-1] *= 1.0 - lines
    picture = weights.reshape(len(weights), -1).T @ np.stack([colour for _, colour in layers] + [material.edge])
    pixels: np.ndarray = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return pixels.reshape(size, size, 3)
