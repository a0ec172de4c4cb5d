"""forge data preview"""

from __future__ import annotations

from pathlib import Path

import click

from i2i_forge.cli.common import checked_recipe, loaded_host, recipe_options
from i2i_forge.errors import UsageError, suggest

ACROSS = 4  # examples in a row


@click.command("preview")
@recipe_options
@click.option("--out", required=True, metavar="FILE.png", type=click.Path(path_type=Path), help="The picture to write.")
@click.option("--count", default=12, show_default=True, type=click.IntRange(min=1), help="How many examples to show.")
@click.option("--stream", default="main", show_default=True, help="Which of the recipe's streams to show.")
@click.pass_obj
def command(
    folders: tuple[Path, ...],
    recipe: str,
    changes: tuple[str, ...],
    drop: tuple[str, ...],
    out: Path,
    count: int,
    stream: str,
) -> None:
    """Make a picture of the first images that training RECIPE will see, cropped and flipped as it will see them."""
    from i2i_forge.images import save_png, sheet
    from i2i_forge.run import build_streams

    streams, _ = build_streams(checked_recipe(recipe, changes, drop, folders), loaded_host(folders).catalog)
    if stream not in streams:
        raise UsageError(f"--stream {stream}: the recipe has no such stream", fix=suggest(stream, streams))
    images: dict[str, list[object]] = {}
    for step in range(-(-count // streams[stream].size)):
        for domain, batch in streams[stream].batch(step).items():
            images.setdefault(domain, []).extend(batch)
    examples = list(zip(*(column[:count] for column in images.values()), strict=True))
    across = min(ACROSS, count)
    empty = [(None,) * len(images)] * (-count % across)
    cells = [*examples, *empty]
    rows = [[cell for example in cells[at : at + across] for cell in example] for at in range(0, len(cells), across)]
    save_png(sheet(rows, list(images) * across), out)
    click.echo(f"{out}")
