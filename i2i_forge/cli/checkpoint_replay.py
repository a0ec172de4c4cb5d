"""forge checkpoint replay"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli.common import (
    chosen_device,
    console,
    device_option,
    json_option,
    loaded_host,
    note,
    print_json,
    say,
    warn,
)
from i2i_forge.cli.file_path import FilePath
from i2i_forge.cli.ranks import joined
from i2i_forge.errors import DivergedError

if TYPE_CHECKING:
    from i2i_forge.run.replay import WatchedStep


@click.command("replay")
@click.argument("run", type=FilePath())
@click.option("--step", required=True, type=click.IntRange(min=0), metavar="K", help="Take the step after K others.")
@device_option
@json_option
@click.pass_obj
def command(folders: tuple[Path, ...], run: Path, step: int, device: str, as_json: bool) -> None:
    """Take step K of RUN again and show its losses, gradients and images; exit code 7 when they are not finite.

    Steps count from 0, as in "not finite at step K"; in metrics.jsonl it is step K+1. It is taken from the newest good
    checkpoint at or before it. Where something is not finite, the first such tensor and its layer are named. Nothing
    in RUN is changed.
    """
    from i2i_forge.run.folder import RunFolder
    from i2i_forge.run.replay import Player, logged, watched_step
    from i2i_forge.system.distributed import rank

    folder = RunFolder.open(run)
    with joined(device, folder.recipe().run.rank_timeout) as mine:
        player = Player(folder, loaded_host(folders).catalog, chosen_device(mine))
        begun = player.go_to(step, warn)
        note(f"step {step} of {run}, from the {f'checkpoint of step {begun}' if begun else 'beginning'}")
        batch, images = player.batch(step)
        seen = watched_step(player.trainer, batch, step)
        if rank():  # the first rank shows what it sees
            return
    log = dict(logged(folder)).get(step + 1, {})
    if as_json:
        print_json({"step": step, "begun": begun, **asdict(seen), "where": seen.where, "logged": log, "images": images})
    else:
        _show(seen, log, images)
    if seen.problem:
        raise DivergedError(f"{seen.problem}\n{seen.where}", fix="look at that layer, its inputs, and the images")


def _show(seen: WatchedStep, log: dict[str, float], images: list[str]) -> None:
    from rich.table import Table

    def table(*headings: str, rows: list[list[Any]]) -> None:
        shown = Table(*headings, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            shown.add_row(*(f"{cell:.8g}" if isinstance(cell, float) else str(cell) for cell in row))
        console().print(shown, "")

    table("loss", "value", "logged", rows=[[name, loss, log.get(name, "")] for name, loss in seen.losses.items()])
    norms = [[phase, name, norm] for phase, found in seen.gradients.items() for name, norm in found.items()]
    table("phase", "network", "gradient norm", rows=norms)
    say(f"images: {', '.join(images)}")
