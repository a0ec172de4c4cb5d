"""An image of 4096x4096 in tiles: time, memory, seams, and how near it is to the translation without tiles.

python -m i2i_forge_benchmarks.tiles --out benchmarks/results

The large image is translated in processes of their own, whose peak memory is that of the networks, the image and a
tile. The image is drawn: colours that change over its whole breadth, edges, and noise.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional as F

import i2i_forge
from i2i_forge.data.images import save_png
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge.translate.translator import Translator
from i2i_forge_benchmarks.shared import alone, out_option, publish, timed

RECIPES = ("munit_edge2shoes", "unit_edges2shoes", "cyclegan_horse2zebra", "augmented_cyclegan_edges2shoes")


@click.command()
@click.option("--recipe", default="munit_edge2shoes", show_default=True)
@click.option("--size", default=4096, show_default=True)
@click.option("--tile", default=1024, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--exact-width", default=8, show_default=True, help="Of the networks, for exact statistics of the image.")
@click.option("--compared", default=1024, show_default=True, help="Side of the image that is also translated whole.")
@click.option("--width", default=16, show_default=True, help="Of the networks that translate it.")
@out_option
@click.option("--picture", type=click.Path(path_type=Path), help="Folder for PNGs of the large image.")
@click.option("--child", hidden=True)
def main(
    recipe: str, size: int, tile: int, precision: str, exact_width: int, compared: int, width: int, out: Path | None,
    picture: Path | None, child: str | None,
) -> None:  # fmt: skip
    """Measure tiled translation with weights as they are drawn."""
    if child:
        click.echo(json.dumps(_large(**json.loads(child))))
        return
    lines = [
        "Memory is the peak of a process that translates, above what it held before: the whole image's translation and "
        "what one tile (or one sample) needs. A seam is the mean step between neighbouring pixels across a tile's "
        "border, divided by that 16 pixels to its left and right.\n",
        "| networks | statistics | image | seconds | memory, GB | seam |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    full = {"recipe": recipe, "tile": tile, "picture": str(picture or "")}
    for changes, exact, side in (
        ([f"precision={precision}"], False, size), ([f"precision={precision}"], False, size // 2),
        (_width(recipe, exact_width), True, size), (_width(recipe, exact_width), True, size // 2),
    ):  # fmt: skip
        found = alone("tiles", f"--child={json.dumps({**full, 'changes': changes, 'exact': exact, 'size': side})}")
        named = f"{recipe}, {'width ' + str(exact_width) + ', fp32' if exact else 'as published, ' + precision}"
        lines.append(f"| {named} | {'exact' if exact else 'sample'} | {side}x{side} | {found['seconds']:.0f} "
                     f"| {found['memory'] / 1e9:.2f} | {found['seam']:.3f} |")  # fmt: skip
        click.echo(lines[-1], err=True)
    lines += [f"\nBeside the translation without tiles, {compared}x{compared}, width {width}, fp32, weights as "
              "they are drawn; values are in [-1, 1], time is that of the whole translation:\n",
              "| recipe | halo | tile | exact: largest difference | time | sample: largest, mean | time |",
              "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name in RECIPES:
        lines += [_compared(name, width, compared, side) for side in (compared // 4, compared // 2)]
        click.echo("\n".join(lines[-2:]), err=True)
    publish("tiles", f"An image of {size}x{size} in tiles of {tile}x{tile}", lines, out)


def drawn(size: int) -> Tensor:
    """1,3,size,size in [-1, 1]."""
    draws = torch.Generator().manual_seed(0)
    x = torch.zeros(1, 3, size, size)
    for cells, weight in ((3, 0.8), (24, 0.5), (192, 0.3)):
        rough = torch.randn(1, 3, min(cells, size), min(cells, size), generator=draws) * weight
        x += F.interpolate(rough, size=(size, size), mode="bicubic")
    x[..., size // 3 :, size * 3 // 7 :] *= -0.5  # edges that are no tile's
    return x.clamp_(-1, 1)


def _large(recipe: str, changes: list[str], size: int, tile: int, exact: bool, picture: str) -> dict[str, float]:
    translator, x = _translator(recipe, changes), drawn(size)
    translator.translate(x[..., :64, :64])  # kernels are loaded
    forget_peak()
    before = memory("VmHWM")
    seconds, y = timed(lambda: translator.translate_in_tiles(x, tile=tile, exact=exact))
    peak = memory("VmHWM") - before
    if picture and size > 2 * tile:
        save_png(y[0], Path(picture) / f"tiled-{'exact' if exact else 'sample'}.png")
    return {"seconds": seconds, "memory": peak, "seam": _seam(y, tile)}


def _seam(y: Tensor, tile: int) -> float:
    steps = (y[..., 1:] - y[..., :-1]).abs().mean((0, 1, 2))
    borders = torch.arange(tile, y.shape[-1], tile) - 1
    return float(steps[borders].mean() / torch.stack([steps[borders - 16], steps[borders + 16]]).mean())


def _compared(recipe: str, width: int, size: int, tile: int) -> str:
    translator, x = _translator(recipe, _width(recipe, width)), drawn(size)
    translator.translate(x)
    (at_once, whole), cells = timed(lambda: translator.translate(x)), []
    for exact in (True, False):
        seconds, tiled = timed(partial(translator.translate_in_tiles, x, tile=tile, exact=exact))
        difference, ratio = (tiled - whole).abs(), seconds / at_once
        cells += [f"{difference.max():.1e}" + ("" if exact else f", {difference.mean():.1e}"), f"{ratio:.1f}"]
    return f"| {recipe} | {translator.tiling('ab').halo} | {tile} | {' | '.join(cells)} |"


def _width(recipe: str, width: int) -> list[str]:
    return [f"networks.{role}.width={width}" for role in i2i_forge.load_recipe(recipe).networks]


def _translator(recipe: str, changes: list[str]) -> Translator:
    found = i2i_forge.load_recipe(recipe, set=changes)
    return Translator(i2i_forge.build_trainer(found), found, 0)


if __name__ == "__main__":
    main()
