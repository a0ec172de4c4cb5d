"""forge train"""

from __future__ import annotations

from pathlib import Path

import click

from i2i_forge.cli.common import checked_recipe, chosen_device, device_option, loaded_host, recipe_options


@click.command("train")
@recipe_options
@click.option("--run", "folder", metavar="DIR", type=click.Path(path_type=Path), help="The run's folder  [runs/NAME]")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps in all.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Number format of the networks.")
@device_option
@click.pass_obj
def command(
    folders: tuple[Path, ...],
    recipe: str,
    changes: tuple[str, ...],
    drop: tuple[str, ...],
    folder: Path | None,
    steps: int | None,
    precision: str | None,
    device: str,
) -> None:
    """Train RECIPE, a file or the name of a shipped recipe. The same command again resumes.

    Samples, losses and checkpoints go to the run's folder. SIGINT and SIGTERM finish the step and save.
    """
    changes += (f"steps={steps}",) if steps else ()
    changes += (f"precision={precision}",) if precision else ()
    checked = checked_recipe(recipe, changes, drop, folders)

    from i2i_forge.cli.progress import TrainingProgress
    from i2i_forge.run import Run

    host = loaded_host(folders)
    where = folder or Path("runs") / checked.name
    run = Run(checked, host, where, device=chosen_device(device), source=recipe, progress=TrainingProgress())
    done = run.train()
    click.echo(
        f"{where}: {done} steps done. Pictures: {where / 'samples'}. Next: forge translate {where} IMAGES --out DIR"
    )
