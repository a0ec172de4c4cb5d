"""forge checkpoint verify, forge checkpoint replay"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli import FilePath, device_option, json_option
from i2i_forge.cli.common import chosen_device, loaded_host, note, print_json, print_table, say, warn
from i2i_forge.cli.ranks import joined
from i2i_forge.errors import CheckpointError, DivergedError
from i2i_forge.system.files import one_line

if TYPE_CHECKING:
    from i2i_forge.run.replay import Comparison, Verdict, WatchedStep


@click.command("verify")
@click.argument("run", type=FilePath())
@device_option
@json_option
def verify_command(run: Path, device: str, as_json: bool) -> None:
    """Say whether RUN can be trusted; exit code 5 when not. Nothing in RUN is changed.

    The size and SHA-256 of every file of every checkpoint are checked. Then steps are taken again from the newest good
    checkpoint to the next logged step, and their losses compared with the log: bit for bit on the hardware and with the
    packages of the run, within a tolerance elsewhere. A run of several processes needs as many: torchrun
    --nproc-per-node N -m i2i_forge checkpoint verify RUN
    """
    from i2i_forge.run.folder import RunFolder
    from i2i_forge.run.replay import Player, verify
    from i2i_forge.system.distributed import rank

    folder = RunFolder.open(run)
    with joined(device, folder.recipe().run.rank_timeout) as mine:
        verdict = verify(folder, lambda: Player(folder, loaded_host().catalog, chosen_device(mine)))
        if rank():  # the log is of the first rank's share of the images
            return
    if not verdict.checkpoints:
        raise CheckpointError(f"{run} has no checkpoint yet", fix="train it first")
    text = _summary(verdict)
    if as_json:
        replayed = asdict(verdict.replayed) if verdict.replayed else None
        print_json({"trusted": verdict.trusted, "verdict": text, "checkpoints": verdict.checkpoints,
                    "replayed": replayed, "not_replayed": verdict.not_replayed})  # fmt: skip
    else:
        for name, state in verdict.checkpoints.items():
            say(f"{name}: {state}")
        say(f"{one_line(str(run))}: {text}")
    if not verdict.trusted:
        raise CheckpointError(f"{run}: {text}", fix=_fix(verdict))


def _summary(verdict: Verdict) -> str:
    if verdict.damaged:
        return f"not to be trusted: {len(verdict.damaged)} of {len(verdict.checkpoints)} checkpoints cannot be used"
    if verdict.replayed is None:
        return f"its checkpoints are whole; nothing was replayed: {verdict.not_replayed}"
    return f"{'can' if verdict.trusted else 'not to'} be trusted: {_compared(verdict.replayed)}"


def _compared(seen: Comparison) -> str:
    steps = f"step {seen.step}, taken again from the checkpoint of step {seen.begun},"
    if seen.difference == 0:
        return f"{steps} has the {seen.terms} logged losses bit for bit"
    if not seen.terms:
        return f"{steps} fails: {seen.worst}"
    elsewhere = f" ({seen.changed})" if seen.changed else ""
    allowed = f"up to {seen.tolerance:g} is allowed{elsewhere}" if seen.tolerance else "the environment is the same"
    return f"{steps} differs from the log by {seen.difference:.2g} in {seen.worst}; {allowed}"


def _fix(verdict: Verdict) -> str:
    good = [name for name in verdict.checkpoints if name not in verdict.damaged]
    if not good:
        return "restore the folder from a copy"
    if verdict.damaged:
        return f"check the disk; training and translating use {good[-1]}"
    return "images, code or log have changed since, or the hardware errs; train anew from a step that you trust"


@click.command("replay")
@click.argument("run", type=FilePath())
@click.option("--step", required=True, type=click.IntRange(min=0), metavar="K", help="Take the step after K others.")
@device_option
@json_option
def replay(run: Path, step: int, device: str, as_json: bool) -> None:
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
        player = Player(folder, loaded_host().catalog, chosen_device(mine))
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
    def table(*headings: str, rows: list[list[Any]]) -> None:
        shown = [[f"{cell:.8g}" if isinstance(cell, float) else cell for cell in row] for row in rows]
        print_table(*headings, rows=shown, box=None, header_style="bold", pad_edge=False)
        say("")

    table("loss", "value", "logged", rows=[[name, loss, log.get(name, "")] for name, loss in seen.losses.items()])
    norms = [[phase, name, norm] for phase, found in seen.gradients.items() for name, norm in found.items()]
    table("phase", "network", "gradient norm", rows=norms)
    say(f"images: {', '.join(images)}")
