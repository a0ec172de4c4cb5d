"""forge data preview"""

from __future__ import annotations

from pathlib import Path

import click

from i2i_forge.cli.common import checked_recipe, loaded_host, note, recipe_options, say
from i2i_forge.cli.file_path import FilePath
from i2i_forge.errors import UsageError, suggest

ACROSS = 4  # examples in a row
MARK = "forge data preview"  # in the PNG file, which a later preview may replace


@click.command("preview")
@recipe_options
@click.option("--out", required=True, metavar="FILE.png", type=FilePath(), help="The picture to write.")
@click.option("--count", default=12, show_default=True, type=click.IntRange(1, 1000), help="How many examples to show.")
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
    from i2i_forge.data.images import save_png, sheet
    from i2i_forge.run.streams import build_streams
    from i2i_forge.system.outputs import marked, refuse_to_replace

    refuse_to_replace([out], marked(MARK))
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
    picture = sheet(rows, list(images) * across)
    save_png(picture, out, MARK)
    say(f"{out}")
    size = "x".join(map(str, reversed(examples[0][0].shape[1:])))
    pairs = " of a pair" if len(streams[stream].sources) == 1 else ""
    note(f"{picture.width}x{picture.height} pixels; {len(examples)} examples as the networks see them, {size}, "
         f"{across} in a row: {' beside '.join(images)}{pairs}")  # fmt: skip
