"""forge data get"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from i2i_forge.cli.common import console, json_option, note, print_json, say
from i2i_forge.cli.file_path import FilePath
from i2i_forge.system.public_data import TABLE, fetch, find


@click.command("get")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--out", default="datasets", show_default=True, metavar="DIR", type=FilePath(),
              help="The folder to download to; each NAME gets a folder in it.")  # fmt: skip
@json_option
def command(names: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Download public data sets; without a NAME, list them.

    maps, facades and cityscapes are pairs, side by side in one image; the unpaired ones of that name are
    maps_unpaired, facades_unpaired and cityscapes_unpaired. The same command again goes on with an interrupted
    download. DIR/NAME/.forge-download.json records address, size, SHA-256 and date.
    """
    if not names:
        _list(out, as_json)
        return
    records = {}
    for data in [find(name) for name in dict.fromkeys(names)]:
        shown = Progress(data.name)
        fetched = fetch(data, out, progress=shown)
        records[data.name] = {"folder": str(fetched.folder), "new": fetched.is_new, **fetched.record}
        if not fetched.is_new:
            note(f"{fetched.folder} is there already; nothing was done")
        if not as_json:
            say(f"{fetched.folder}")
    if as_json:
        print_json(records)


def _list(out: Path, as_json: bool) -> None:
    rows = [{**asdict(data), "kind": data.kind, "goes_to": str(out / data.name)} for data in TABLE]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("name", "kind", "layout", "domains", "goes to")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("name", "kind", "layout", "about", "goes_to")))
    console().print(table)


class Progress:
    """Lines on stderr, rewritten in place on a terminal; otherwise one every ten seconds."""

    def __init__(self, name: str) -> None:
        self.name, self.live = name, sys.stderr.isatty()
        self.began = self.said = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Bytes that are there, of how many."""
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if now - self.said < (0.2 if self.live else 10) and done != total:
            return
        self.said = now
        speed = (done - self.first) / max(now - self.began, 1e-3)
        of = f" of {total / 1e6:,.1f} MB ({100 * done / total:.0f} %)" if total else " MB"
        end = "\n" if done == total or not self.live else ""
        click.echo(
            f"{chr(13) * self.live}{self.name}: {done / 1e6:,.1f}{of}  {speed / 1e6:.1f} MB/s", err=True, nl=False
        )
        click.echo(end, err=True, nl=False)
