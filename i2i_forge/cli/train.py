"""forge train"""

from __future__ import annotations

import os
from pathlib import Path

import click

from i2i_forge.cli import FilePath, device_option
from i2i_forge.cli.common import checked_recipe, chosen_device, loaded_host, note, recipe_options
from i2i_forge.cli.output import final_line
from i2i_forge.cli.ranks import joined, start_ranks
from i2i_forge.errors import ForgeError
from i2i_forge.system.files import one_line


@click.command("train")
@recipe_options
@click.option("--run", "folder", metavar="DIR", type=FilePath(), help="The run's folder  [runs/NAME]")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps in all, those before a resumption too.")
@click.option("--precision", metavar="[fp32|bf16]", help="The number format that the networks compute in.")
@click.option("--init-from", "sources", multiple=True, metavar="RUN|[PART=]FILE",
              help="Begin with the weights of a run, a checkpoint, or another program's files. PART=FILE says what a "
                   "file holds: G_A=horse2zebra.pth.")  # fmt: skip
@click.option("--gpus", type=click.IntRange(1, 1024), metavar="N", help="Train on N GPUs of this machine.")
@device_option
def command(
    recipe: str, changes: tuple[str, ...], drop: tuple[str, ...], folder: Path | None, steps: int | None,
    precision: str | None, sources: tuple[str, ...], gpus: int | None, device: str,
) -> None:  # fmt: skip
    """Train RECIPE, a file or the name of an installed recipe. The same command again resumes.

    Samples, losses and checkpoints go to the run's folder. SIGINT, SIGTERM and SIGHUP finish the step
    and save.

    A run is resumed with the settings that it began with. Its steps, the settings under `run`, and data.workers,
    data.timeout and data.root may change; to change others, begin a new run with its weights: --init-from RUN.

    Several GPUs share the images of a step: --gpus 4 --set data.batch=4. On several machines:

    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST -m -- i2i_forge train ...
    """
    if gpus and gpus > 1 and "WORLD_SIZE" not in os.environ:
        start_ranks(gpus, device)
    changes += (f"steps={steps}",) if steps else ()
    changes += (f"precision={precision}",) if precision else ()
    try:
        checked = checked_recipe(recipe, changes, drop)
    except ForgeError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        click.get_current_context().exit(error.exit_code)  # the first rank of this machine says it
    where = folder or Path("runs") / checked.name

    with joined(device, checked.run.rank_timeout) as mine:
        from i2i_forge.cli.progress import TrainingProgress
        from i2i_forge.run.loop import Run
        from i2i_forge.system.distributed import rank

        leads = rank() == 0
        for text in checked.left_out if leads else ():
            note(f"left out of the base: {text}")
        chosen = chosen_device(mine)
        progress = TrainingProgress(where / "samples", str(chosen))
        started = Run(checked, loaded_host(), where, device=chosen, source=recipe, init_from=sources, progress=progress)
        done, where = started.train(), started.folder.path
    if leads:
        run = one_line(str(where))
        final_line(f"{run}: {done} steps done. Pictures: {run}/samples. Next: forge translate {run} IMAGES --out DIR")
