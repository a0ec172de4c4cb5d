"""forge ablate"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.catalog.loading import read_vocabulary
from i2i_forge.cli import FilePath, device_option
from i2i_forge.cli.common import found_plugins, loaded_host, note, plugin_folders, print_json, print_table, say
from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.study.launchers import Launcher, LocalLauncher, SlurmLauncher, shell_lines, threads_each
from i2i_forge.study.study_file import find_study, read_study
from i2i_forge.study.variants import FULL, Asked, StudyPlan, Variant, expand, rows_of

if TYPE_CHECKING:
    from i2i_forge.catalog.registry import Catalog
    from i2i_forge.catalog.vocabulary import Vocabulary
    from i2i_forge.study.table import Table

FOLDER = FilePath()
COUNT = click.IntRange(min=1)
FEW = click.IntRange(1, 1000)


@click.command("ablate")
@click.argument("recipe", metavar="RECIPE|STUDY")
@click.option("--drop", "drops", multiple=True, metavar="PHASE.TERM[+...]",
              help="Add a variant without this term, or without several that are joined by +.")  # fmt: skip
@click.option("--grid", "grids", multiple=True, metavar="KEY=V,V...",
              help="Add a variant for each value; PHASE.TERM.weight is a weight. Several are combined.")  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value in all variants.")
@click.option("--seeds", type=FEW, help="How many times to train each variant, with a seed each  [1]")
@click.option("--steps", type=COUNT, help="How many steps each run takes.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="A metric to measure  [lpips-diversity]")
@click.option("--protocol", "protocols", multiple=True, metavar="[METRIC=]NAME", help="A protocol, as for forge eval.")
@click.option("--backbone", "backbones", multiple=True, metavar="[METRIC=]NAME", help="A network, as for forge eval.")
@click.option("--inputs", type=COUNT, help="How many inputs to measure, in place of the protocol's number.")
@click.option("--samples", type=COUNT, help="How many translations of each input, likewise.")
@click.option("--classifier", metavar="DIR", type=FOLDER, help="A classifier of modes, which some metrics need.")
@click.option("--jobs", default=1, show_default=True, type=FEW, help="How many runs to train at once.")
@click.option("--launcher", default="local", show_default=True, type=click.Choice(["local", "slurm"]),
              help="Run on this machine, or as a job array of Slurm (needs i2i-forge[slurm]).")  # fmt: skip
@click.option("--slurm", "settings", multiple=True, metavar="KEY=VALUE",
              help="A setting for submitit: slurm_partition=gpu, gpus_per_node=1, timeout_min=600.")  # fmt: skip
@click.option("--out", metavar="DIR", type=FOLDER, help="The folder of the study  [studies/NAME]")
@click.option("--dry-run", is_flag=True, help="Say what would run and what it saves, and do nothing.")
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(["text", "json", "shell"]),
              help="What --dry-run prints; `shell` prints a command line for each run, for any scheduler.")  # fmt: skip
@device_option
def command(recipe: str, out: Path | None, device: str, jobs: int, **options: Any) -> None:
    """Train an objective and its variants, measure all alike, and write one table.

    \b
    forge ablate munit_synthetic --drop generator.style --drop generator.content --seeds 3
    forge ablate munit_synthetic --grid generator.image.weight=1,10,100 --dry-run
    forge ablate munit_table1                 a study that comes with i2i_forge, or a study's file

    Each variant has a folder in DIR, which ends with table.md and table.json. The same command again goes on where it
    was stopped: what is trained and measured is not done twice. A run that fails stops no other.
    """
    vocabulary = read_vocabulary(found_plugins())
    plan = _plan(recipe, options, vocabulary)
    variants = expand(plan, vocabulary)
    where = out or Path("studies") / plan.name
    catalog = loaded_host().catalog
    if options["dry_run"]:
        _preview(plan, variants, where, device, catalog, options["form"])
        return
    launch = _launcher(options, where, jobs)
    from i2i_forge.study.study import Workspace, run_study, stopping_cleanly

    with stopping_cleanly():
        workspace = Workspace(where, device, plugin_folders(), threads_each(jobs))
        table = run_study(plan, variants, workspace, catalog, launch, note)
    _print(table)
    note(f"written to {where}/table.md and table.json")
    if failed := [f"{row.name} seed {seed}" for row in table.rows for seed in row.failed]:
        raise ForgeError(
            f"{len(failed)} of {len(variants)} runs failed: {', '.join(failed[:6])}{' ...' * (len(failed) > 6)}",
            fix=f"see their logs, {where}/*/seed-*.log; the same command again tries them again",
        )


def _plan(recipe: str, options: dict[str, Any], vocabulary: Vocabulary) -> StudyPlan:
    """The study of a file or of the command line; the command line's counts and metrics come first."""
    file = find_study(recipe)
    if file is None:
        rows = rows_of(recipe, options["drops"], options["grids"], options["changes"], vocabulary)
        plan = StudyPlan(Path(recipe).stem, rows, FULL, options["changes"])
    elif options["drops"] or options["grids"]:
        raise UsageError(f"{recipe} is a study, with its own variants", fix="leave out --drop and --grid, or edit it")
    else:
        plan = read_study(file, changes=options["changes"], vocabulary=vocabulary)
    asked = plan.asked
    if options["metrics"]:  # the file's protocols and backbones are of its own metrics
        asked = Asked(options["metrics"], inputs=asked.inputs, samples=asked.samples, data=asked.data)
    is_random = "random" in options["backbones"]  # for trying things out: in place of all that has to be got or trained
    asked = replace(
        asked,
        protocols=(*asked.protocols, *options["protocols"]),
        backbones=options["backbones"] if is_random else (*asked.backbones, *options["backbones"]),
        **{name: options[name] for name in ("inputs", "samples", "classifier") if options[name]},
    )
    more = {name: options[name] for name in ("steps", "seeds") if options[name]}
    return replace(plan, asked=asked, classifier=None if is_random else plan.classifier, **more)


def _preview(plan: StudyPlan, variants: Sequence[Variant], out: Path, device: str, catalog: Catalog, form: str) -> None:
    from i2i_forge.study.costs import costs_of, facts, saved_in_words
    from i2i_forge.study.state import Measures

    measures = Measures(plan.asked, catalog, variants)
    if form == "shell":
        asked = measures.asked_for(plan.asked.metrics)
        if plan.classifier and not asked.classifier:
            asked = replace(asked, classifier=out / "classifier")
        click.echo("\n".join(shell_lines(plan, variants, asked, out, device, plugin_folders())))
        return
    costs = costs_of(variants, catalog)
    found = facts(variants, costs, plan.baseline)
    if form == "json":
        print_json(found)
        return
    from rich.table import Column

    rows = []
    for fact in found[: len(costs)]:
        changes = [fact["recipe"], *(f"--set {c}" for c in fact["changes"]), *(f"--drop {d}" for d in fact["drops"])]
        words = saved_in_words(fact), ", ".join(fact["tensors_pruned"])
        rows.append((fact["name"], "\n".join(changes), fact["network_calls"], *words))
    headings = ("recipe and changes", "network calls", f"fewer than '{plan.baseline}'", "not computed")
    print_table(Column("variant", overflow="fold"), *headings, rows=rows)
    measured = ", ".join(f"{metric} {protocol.name}" for metric, protocol in measures.protocols.items())
    say(f"{len(variants)} runs ({plan.seeds} of each), {variants[0].recipe.steps:,} steps each, in {out}")
    say(f"measured: {measured}")


def _launcher(options: dict[str, Any], out: Path, jobs: int) -> Launcher:
    if options["launcher"] == "local":
        if options["settings"]:
            raise UsageError("--slurm goes with --launcher slurm", fix="add it, or leave --slurm out")
        return LocalLauncher(jobs)
    return SlurmLauncher(out / "slurm", jobs, parse_options(options["settings"], "--slurm"))


def _print(table: Table) -> None:
    from rich.table import Column

    from i2i_forge.study.layout import cells, remarks

    header, rows = cells(table)
    first = Column(overflow="fold", min_width=min(40, max(len(row[0]) for row in rows)))
    print_table(first, *header[1:], rows=rows, title=table.study, title_justify="left", show_lines=True)
    for text in remarks(table):
        say(f"- {text}")
