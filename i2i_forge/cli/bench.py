"""forge bench"""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from i2i_forge.cli import FilePath, device_option
from i2i_forge.cli.common import chosen_device, note
from i2i_forge.errors import RecipeError, UsageError
from i2i_forge.recipe.names import find_recipe
from i2i_forge.system.outputs import marked, refuse_to_replace


@click.command("bench")
@click.argument("recipes", nargs=-1)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value in all of them.")
@click.option("--batch", "sizes", multiple=True, type=click.IntRange(1, 2**16),
              help="Images in a step; repeat it for more tables.")  # fmt: skip
@click.option("--row", "rows", multiple=True,
              help='Measure only this row ("bf16, recompute") and the plain step; repeat it for more.')  # fmt: skip
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 1000),
              help="Steps of each row, in turn.")  # fmt: skip
@click.option("--out", metavar="DIR", type=FilePath(exists=True, file_okay=False),
              help="Also write speed-DATE-DEVICE.md there.")  # fmt: skip
@device_option
def command(
    recipes: tuple[str, ...], changes: tuple[str, ...], sizes: tuple[int, ...], rows: tuple[str, ...], rounds: int,
    out: Path | None, device: str,
) -> None:  # fmt: skip
    """Measure a training step of RECIPES, by default of all six methods as published: minutes for each.

    fp32, bf16 and recomputed activations beside a plain step of the same objective, in turn in one process; peak memory
    in a process for each; operations beside a large matrix product, and where the time goes. Images are random.

    A recipe file of your own is compared with the plain step of its method on its networks, or else with its fp32 step.
    """
    for recipe in recipes:
        try:
            find_recipe(recipe)
        except RecipeError as error:
            raise UsageError(error.message, fix=error.fix) from None
    from i2i_forge.study.speed import TITLE, bench

    device = str(chosen_device(device))
    file = out and out / f"speed-{datetime.date.today()}-{device.partition(':')[0]}.md"
    if file:
        refuse_to_replace([file], marked(TITLE))
    text = bench(recipes, changes, sizes, rows, rounds, device, note)
    click.echo(text)
    if file:
        file.write_text(text)
