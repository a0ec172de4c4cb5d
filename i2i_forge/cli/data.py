"""forge data"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
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
from i2i_forge.recipe.yaml_text import to_inline_yaml
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
    """Make a picture of the first images that training RECIPE will see, cropped and flipped as it will see them.

    Of volumes and other cases it shows the middle slice of each. Measured images are shown as `display` of their domain
    says, labels by their number.
    """
    from i2i_forge.data.domains import Domains
    from i2i_forge.data.images import save_png, sheet
    from i2i_forge.run.findings import with_findings
    from i2i_forge.run.streams import build_streams

    refuse_to_replace([out], marked(MARK))
    catalog = loaded_host().catalog
    checked = with_findings(checked_recipe(recipe, changes, drop), catalog, None, note)
    streams, _ = build_streams(checked, catalog)
    if stream not in streams:
        raise UsageError(f"--stream {stream}: the recipe has no such stream", fix=suggest(stream, streams))
    spaces, images = Domains.of(checked, catalog), _previewed(streams[stream], count)
    examples = list(zip(*(_shown(spaces, name, column) for name, column in images.items()), strict=False))
    across = min(ACROSS, len(examples))
    empty = [(None,) * len(images)] * (-len(examples) % across)
    cells = [*examples, *empty]
    rows = [[cell for example in cells[at : at + across] for cell in example] for at in range(0, len(cells), across)]
    labels = [name + spaces[name].shown_as() for name in images]
    picture = sheet(rows, labels * across)
    save_png(picture, out, MARK)
    say(f"{out}")
    size = "x".join(map(str, reversed(examples[0][0].shape[1:])))
    named = [" ".join(label.split()) for label in labels]
    pairs = " of a pair" if len(streams[stream].sources) == 1 else ""
    note(f"{picture.width}x{picture.height} pixels; {len(examples)} examples as the networks see them, {size}, "
         f"{across} in a row: {' beside '.join(named)}{pairs}")  # fmt: skip


def _previewed(stream: Any, count: int) -> dict[str, list[Any]]:
    """Image -> tensors: the first batches, or where sources know which examples to look at, these."""
    from i2i_forge.system.seeding import generator

    images: dict[str, list[Any]] = {}
    inner = [getattr(source, "source", source) for source in stream.sources]
    if not all(hasattr(source, "preview") for source in inner):
        for step in range(-(-count // stream.size)):
            for name, batch in stream.batch(step).items():
                images.setdefault(name, []).extend(batch)
        return {name: column[:count] for name, column in images.items()}
    for number, source in enumerate(stream.sources):
        for place, index in enumerate(dict.fromkeys(inner[number].preview(count))):
            draws = generator(stream.seed, "augment", stream.name, number, 0, place)
            for name, image in source.example(index, draws).items():
                images.setdefault(name, []).append(image)
    return images


def _shown(spaces: Any, name: str, images: Sequence[Any]) -> list[Any]:
    """3,H,W in [-1, 1] of each: labels and weights from black to their largest number, others as `display` says."""
    space = spaces[name]
    if space.kind not in ("labels", "weight"):
        return [space.to_rgb(image) for image in images]
    values = [space.to_values(image) if name in spaces.translated else image for image in images]
    most = max(1, *(float(each.max()) for each in values))
    return [(each[:1].float() / most * 2 - 1).expand(3, -1, -1) for each in values]


@command.command("split")
@click.argument("folder", metavar="DIR", type=FilePath())
@click.option("--set", "changes", multiple=True, metavar="files.NAME=PATTERN",
              help="How files are named, as for `forge data check`.")  # fmt: skip
@click.option("--test", "share", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="SHARE",
              help="The share of the groups that test: the last in natural order.")  # fmt: skip
@click.option("--folds", type=click.IntRange(2), metavar="K", help="Deal the groups to so many folds in turn instead.")
@click.option("--out", required=True, metavar="FILE.csv", type=FilePath(), help="The list to write.")
def split(folder: Path, changes: tuple[str, ...], share: float | None, folds: int | None, out: Path) -> None:
    """Write a list of which cases of DIR train and which test, or of folds; groups are never divided."""
    from i2i_forge.cli.case_check import patterns_of
    from i2i_forge.data.case_split import HEADINGS, split_list, write_list
    from i2i_forge.data.file_formats import Files

    if (share is None) == (folds is None):
        raise UsageError("a split takes a share that tests or a number of folds", fix="say --test 0.2, or --folds 5")
    refuse_to_replace([out], marked(HEADINGS))
    rows = split_list(folder, Files(loaded_host().catalog.files), patterns_of(changes), share, folds)
    write_list(rows, out)
    say(f"{out}")
    parts = Counter(row[-1] for row in rows)
    note(f"{len(rows):,} cases of {len({row[1] for row in rows}):,} groups: "
         + ", ".join(f"{count:,} in {'fold ' * bool(folds)}{part}" for part, count in parts.items()))  # fmt: skip
    named = os.path.relpath(out, folder) if out.resolve().is_relative_to(folder.resolve()) else str(out.resolve())
    said = to_inline_yaml({"list": named} | ({"fold": 0} if folds else {}))[1:]
    note("in a recipe: data: {split: {test: ~, " + said + "}")  # `~` takes away what a base says


@command.command("make")
@click.argument("dataset")
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
@click.option(
    "--format", "form", metavar="FORMAT", help="The format of the files of volumes: nifti, mha, npy, dicom ..."
)
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
