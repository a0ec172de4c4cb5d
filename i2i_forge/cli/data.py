"""forge data"""

from __future__ import annotations

from pathlib import Path

import click

from i2i_forge.cli import data_check, data_get, data_pack, data_preview
from i2i_forge.cli.common import loaded_host, note, say
from i2i_forge.cli.file_path import FilePath
from i2i_forge.errors import DataError
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.system.outputs import refuse_to_fill


@click.group("data")
def command() -> None:
    """Get, check, look at, pack and make data sets."""


for part in (data_get, data_check, data_pack, data_preview):
    command.add_command(part.command)


@command.command("make")
@click.argument("dataset")
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="An option of the data set: size=128.")
@click.pass_obj
def make(folders: tuple[Path, ...], dataset: str, out: Path, changes: tuple[str, ...]) -> None:
    """Write a generated DATASET (procedural_shoes) as folders of images."""
    from i2i_forge.catalog.construct import call

    made = call(loaded_host(folders).catalog.datasets.get(dataset), parse_options(changes), f"data set {dataset}")
    if not hasattr(made, "write"):
        raise DataError(f"data set '{dataset}' reads files, it does not make any", fix="make procedural_shoes")
    refuse_to_fill(out)
    made.write(out, lambda done, total: note(f"{done}/{total} images") if done % 500 == 0 or done == total else None)
    say(f"{out}")
