"""forge data"""

from __future__ import annotations

from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any

import click

from i2i_forge.cli import FilePath, data_check, json_option
from i2i_forge.cli.common import checked_recipe, loaded_host, note, print_json, print_table, recipe_options, say
from i2i_forge.cli.progress import Counted, Downloaded
from i2i_forge.errors import DataError, UsageError, suggest
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.system.outputs import marked, refuse_to_fill, refuse_to_replace

ACROSS = 4  # examples in a row of a preview
MARK = "forge data preview"  # in the PNG file, which a later preview may replace


@click.group("data")
def command() -> None:
    """Get, check, look at, pack and make data sets."""


command.add_command(data_check.check)
command.add_command(data_check.pack_command)


@command.command("get")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--out", default="datasets", show_default=True, metavar="DIR", type=FilePath(),
              help="The folder to download to; each NAME gets a folder in it.")  # fmt: skip
@json_option
def get(names: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Download public data sets; without a NAME, list them.

    maps, facades and cityscapes are pairs, side by side in one image; the unpaired ones of that name are
    maps_unpaired, facades_unpaired and cityscapes_unpaired. The same command again goes on with an interrupted
    download. DIR/NAME/.forge-download.json records address, size, SHA-256 and date.
    """
    from i2i_forge.system.public_data import fetch, find

    if not names:
        _list(out, as_json)
        return
    records = {}
    for data in [find(name) for name in dict.fromkeys(names)]:
        fetched = fetch(data, out, progress=Downloaded(data.name))
        records[data.name] = {"folder": str(fetched.folder), "new": fetched.is_new, **fetched.record}
        if not fetched.is_new:
            note(f"{fetched.folder} is there already; nothing was done")
        if not as_json:
            say(f"{fetched.folder}")
    if as_json:
        print_json(records)


def _list(out: Path, as_json: bool) -> None:
    from i2i_forge.system.public_data import TABLE

    rows = [{**asdict(data), "kind": data.kind, "goes_to": str(out / data.name)} for data in TABLE]
    if as_json:
        print_json(rows)
        return
    keys = ("name", "kind", "layout", "about", "goes_to")
    print_table("name", "kind", "layout", "domains", "goes to", rows=[[row[key] for key in keys] for row in rows])


@command.command("preview")
@recipe_options
@click.option("--out", required=True, metavar="FILE.png", type=FilePath(), help="The picture to write.")
@click.option("--count", default=12, show_default=True, type=click.IntRange(1, 1000), help="How many examples to show.")
@click.option("--stream", default="main", show_default=True, help="Which of the recipe's streams to show.")
def preview(recipe: str, changes: tuple[str, ...], drop: tuple[str, ...], out: Path, count: int, stream: str) -> None:
    """Make a picture of the first images that training RECIPE will see, cropped and flipped as it will see them."""
    from i2i_forge.data.images import save_png, sheet
    from i2i_forge.run.streams import build_streams

    refuse_to_replace([out], marked(MARK))
    streams, _ = build_streams(checked_recipe(recipe, changes, drop), loaded_host().catalog)
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


@command.command("make")
@click.argument("dataset")
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
@click.option("--format", "form", metavar="FORMAT", help="Of the files of volumes: nifti, mha, npy, dicom ...")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="An option of the data set: size=128.")
def make(dataset: str, out: Path, form: str | None, changes: tuple[str, ...]) -> None:
    """Write a generated DATASET: procedural_shoes as folders of images, phantom as folders of volumes."""
    from i2i_forge.catalog.construct import call

    catalog = loaded_host().catalog
    made = call(catalog.datasets.get(dataset), parse_options(changes), f"data set {dataset}")
    if not hasattr(made, "write"):
        raise DataError(f"data set '{dataset}' reads files, it does not make any", fix="make procedural_shoes")
    options = _format(made, dataset, form, catalog)
    refuse_to_fill(out)
    made.write(out, Counted(last=True), **options)
    say(f"{out}")


def _format(made: Any, dataset: str, form: str | None, catalog: Any) -> dict[str, Any]:
    """The options of `write` that say in which format: none where a data set knows only one."""
    from i2i_forge.data.file_formats import Files

    if "format" not in signature(made.write).parameters:
        if form:
            raise UsageError(f"--format {form}: data set '{dataset}' is written as PNG files", fix="leave it out")
        return {}
    files = Files(catalog.files)
    if not form:
        known = ", ".join(sorted(files.formats))
        raise UsageError(f"data set '{dataset}' needs --format, that of its files", fix=f"use one of {known}")
    name = form if form in files.formats else files.named(f".{form}")
    found = files.format(name)
    if not hasattr(found, "write"):
        raise UsageError(f"--format {form}: files of {name} are read and not written", fix="use another format")
    compressed = next((ending for ending in found.endings if ending.endswith(".gz")), found.endings[0])
    return {"format": found, "ending": compressed if name == form else f".{form}"}
