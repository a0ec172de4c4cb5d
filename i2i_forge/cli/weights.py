"""forge weights"""

from __future__ import annotations

from dataclasses import asdict

import click

from i2i_forge.cli import json_option
from i2i_forge.cli.common import note, print_json, print_table, say
from i2i_forge.cli.progress import Downloaded
from i2i_forge.errors import DataError
from i2i_forge.system.weights import MANIFEST, fetch, find, inspect, path_of


@click.group("weights")
def command() -> None:
    """Get, list and verify the pretrained weights that losses and metrics need."""


@command.command("get")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def get(names: tuple[str, ...], as_json: bool) -> None:
    """Download weights into the cache, and verify them.

    The same command again goes on with an interrupted download, and replaces a file that is damaged.
    FILE.json beside the file records address, size, SHA-256 and date. FORGE_WEIGHTS_URL names a mirror.
    """
    rows = {}
    for entry in [find(name) for name in dict.fromkeys(names)]:
        found = inspect(entry)
        if found.status == "ok":
            note(f"{found.path} is there already; nothing was done")
            record = {**found.record, "sha256": found.sha256}
        else:
            if found.status == "wrong":
                note(f"{found.problem}; it is replaced")
            record = fetch(entry, progress=Downloaded(entry.name))
        rows[entry.name] = {"path": str(found.path), "new": found.status != "ok", **record}
        if not as_json:
            say(f"{found.path}")
    if as_json:
        print_json(rows)


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the weights that i2i_forge knows, and which are there (unverified)."""
    rows = []
    for entry in MANIFEST.values():
        path = path_of(entry)
        rows.append({**asdict(entry), "file": entry.file, "path": str(path), "there": path.is_file()})
    if as_json:
        print_json(rows)
        return
    keys = ("name", "file", "size", "licence", "needed_by", "there")
    shown = [row | {"size": f"{row['megabytes']} MB", "there": "yes" if row["there"] else "no"} for row in rows]
    headings = [key.replace("_", " ") for key in keys]
    print_table(*headings, rows=[[row[key] for key in keys] for row in shown])


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Read weights in the cache, and compare them with the manifest and with what was recorded when they were fetched.

    Without a NAME: those that are there.
    """
    entries = [find(name) for name in dict.fromkeys(names)] or [e for e in MANIFEST.values() if path_of(e).is_file()]
    checked = {entry.name: inspect(entry) for entry in entries}
    if as_json:
        print_json({name: {**asdict(found), "path": str(found.path)} for name, found in checked.items()})
    else:
        for name, found in checked.items():
            say(f"{name}: {found.problem or f'ok, {found.path} has SHA-256 {found.sha256}'}")
        if not checked:
            note("no weights are there")
    if bad := [name for name, found in checked.items() if found.status != "ok"]:
        raise DataError(f"{len(bad)} of {len(checked)} files of weights are missing or damaged: {', '.join(bad)}",
                        fix=f"forge weights get {' '.join(bad)}")  # fmt: skip
