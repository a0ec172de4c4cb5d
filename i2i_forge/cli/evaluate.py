"""forge eval"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i_forge.cli import FilePath, completion, device_option, json_option
from i2i_forge.cli.common import chosen_device, loaded_host, note, note_loaded, print_json, print_table, say
from i2i_forge.cli.progress import Counted
from i2i_forge.cli.ranks import joined
from i2i_forge.errors import DataError, UsageError
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.system.files import one_line

if TYPE_CHECKING:
    import torch

    from i2i_forge.catalog.registry import Catalog
    from i2i_forge.measure.records import Record
    from i2i_forge.measure.samples import Samples

DEFAULT = ("lpips-diversity",)
RANK_TIMEOUT = 1800.0  # seconds: the ranks meet at the end only, and their shares may take longer or shorter
FOLDER = FilePath(exists=True, file_okay=False)
OF_IMAGES = {"--real": "real", "--sources": "sources", "--truths": "truths", "--draws": "draws", "--mask": "mask",
             "--range": "ends", "--unit": "measured_in", "--domain": "domain"}  # fmt: skip


@click.command("eval")
@click.argument("run", metavar="[RUN]", required=False, type=FilePath())
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="A metric to measure; repeat it for more.",
              shell_complete=completion.metrics)  # fmt: skip
@click.option("--protocol", "protocols", multiple=True, metavar="[METRIC=]NAME",
              help="How to measure; --list shows the protocols.",
              shell_complete=completion.protocols)  # fmt: skip
@click.option("--inputs", type=click.IntRange(min=1), help="How many inputs, in place of the protocol's number.")
@click.option("--samples", type=click.IntRange(1, 10**4), help="How many translations of each input, likewise.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many seeds to use.")
@click.option("--route", default="ab", show_default=True, help="The direction: ab is from domain a to b.")
@click.option("--images", metavar="DIR", type=FOLDER, help="Measure images of any program, not a run: a sub-folder for "
              "each input, or NAME-00.png ...; see --draws.")  # fmt: skip
@click.option("--real", metavar="DIR", type=FOLDER, help="With --images: real images of the target domain.")
@click.option("--sources", metavar="DIR", type=FOLDER, help="With --images: the inputs, by name.")
@click.option("--truths", metavar="DIR", type=FOLDER, help="With --images: the true outputs, by name.")
@click.option(
    "--mask", metavar="DIR", type=FOLDER, help="With --range: masks by name, not 0 where images are measured."
)
@click.option("--range", "ends", metavar="LOW,HIGH", help="With --images: they are files of values, slices of volumes "
              "too, and these are the ends of their range.")  # fmt: skip
@click.option("--unit", "measured_in", metavar="TEXT", help="With --range: what the values are, HU.")
@click.option("--domain", metavar="FILE", type=FilePath(exists=True, dir_okay=False),
              help="In place of --range: a YAML file that describes the images like a domain of a recipe.")  # fmt: skip
@click.option("--draws", type=click.Choice(["by-name", "none"]),
              help="With --images: `by-name` takes the files of a sub-folder, and files whose names differ in a number "
              "at their end, for translations of one input. `none` takes each file for an input of its own; it is the "
              "default if --truths and --sources (without them, --real) have all these names.")  # fmt: skip
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Change an option of the run's data set: size=128.")
@click.option("--classifier", metavar="DIR", type=FOLDER, help="A classifier of modes, which some metrics need.")
@click.option("--backbone", "backbones", multiple=True, metavar="[METRIC=]NAME",
              help="The network whose features are compared: `random` has untrained weights, for trying things out; "
              "`classifier` is that of --classifier, for fid and kid.")  # fmt: skip
@click.option("--force", is_flag=True, help="Use the classifier even if its accuracy is below 90 %.")
@click.option("--matrix", is_flag=True, help="Also store the distances of all pairs (of lpips-diversity).")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1, 2**16), help="How many images at once.")
@click.option("--out", metavar="DIR", type=FilePath(),
              help="The folder of results.jsonl  [the run's folder; with --images the current one]")  # fmt: skip
@click.option("--list", "list_them", is_flag=True, help="List the metrics and protocols, and stop.")
@device_option
@json_option
def command(
    run: Path | None, metrics: tuple[str, ...], images: Path | None, out: Path | None,
    list_them: bool, device: str, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Measure RUN (by default the newest run below this folder) on its test images.

    Metrics say how diverse its translations are, how real they look, how many modes they show, and how well they keep
    their inputs' content.

    \b
    forge eval --metric lpips-diversity
    forge eval runs/munit --metric cis --metric is --classifier classifiers/shoes
    forge eval --images outputs --real datasets/shoes/testB --metric fid --metric kid

    Each number becomes a line of results.jsonl, with everything needed to get it again; `forge report` compares them.
    Several GPUs share the work: torchrun --nproc-per-node 4 --no-python forge eval ...
    """
    catalog = loaded_host().catalog
    if list_them:
        _list(catalog, as_json)
        return
    if images and run:
        raise UsageError(f"RUN ({run}) and --images ({images}) are both given", fix="leave one out")
    for flag, name in OF_IMAGES.items():
        if options[name] and not images:
            raise UsageError(f"{flag} goes with --images; a run has its own data", fix=f"leave {flag} out")
    options["data"] = parse_options(options["data"], "--data")
    if images and options["data"]:
        raise UsageError("--data is for a run's data set, and --images are measured", fix="leave --data out")
    with joined(device, RANK_TIMEOUT) as mine:
        where = chosen_device(mine)
        samples, folder = _samples(catalog, run, images, where, options)
        records = _measured(catalog, samples, out or folder, metrics or DEFAULT, where, options)
    if not records:
        return  # not the first rank
    if as_json:
        print_json([record.model_dump(mode="json", exclude_none=True) for record in records])
    else:
        _print(records)
        note(f"recorded in {out or folder}/results.jsonl; `forge report` compares runs")
        note("`forge eval --list` says what the details of a metric are")


def _measured(
    catalog: Catalog, samples: Samples, folder: Path, metrics: Sequence[str], device: torch.device,
    options: dict[str, Any],
) -> list[Record]:  # fmt: skip
    from i2i_forge.measure.evaluate import Evaluation
    from i2i_forge.measure.metric import Tools
    from i2i_forge.measure.plans import choose, choose_backbones, plan
    from i2i_forge.measure.recording import write_records
    from i2i_forge.system.outputs import refuse_special

    refuse_special([folder / "results.jsonl", folder / "results"])
    chosen = choose(catalog, metrics, options["protocols"], samples.space)
    if options["matrix"]:  # a metric that does not know the option does not look at it
        chosen = {name: replace(p, options={**p.options, "matrix": True}) for name, p in chosen.items()}
    backbones = choose_backbones(catalog, metrics, options["backbones"])
    plans = plan(catalog, chosen, samples, inputs=options["inputs"], draws=options["samples"], backbones=backbones)
    tools = Tools(device, classifier=_classifier(options, device), is_deterministic=samples.is_deterministic)
    seeds = range(options["seeds"])
    try:
        evaluation = Evaluation(samples, plans, tools, seeds=seeds, batch=options["batch"])
    except DataError as error:  # there are no weights
        if all(plan.backbone or "random" not in plan.metric.backbones for plan in plans):
            raise
        raise DataError(error.message, fix=f"{error.fix}; or `--backbone random` to try") from error
    began, progress = time.monotonic(), Counted(quiet=evaluation.share[0] > 0)
    outcomes = evaluation.run(progress)
    timing = {"seconds": round(time.monotonic() - began, 3), "images": float(progress.done)}
    return write_records(evaluation, outcomes, folder, timing) if outcomes else []


def _samples(
    catalog: Catalog, run: Path | None, images: Path | None, device: torch.device, options: dict[str, Any]
) -> tuple[Samples, Path]:
    """What is measured, and the folder its records go to."""
    if images:
        found = _folders(catalog, images, device, options)
        note(f"{one_line(str(images))}: {found.data['grouping']}{' (--draws)' * found.space.is_rgb8}")
        return found, Path()
    from i2i_forge.measure.run_samples import RunSamples
    from i2i_forge.run.folder import newest_run
    from i2i_forge.translate.loading import load

    run = run or newest_run()
    translator = load(run, device, catalog)
    note_loaded(run, translator)
    return RunSamples(translator, catalog, options["route"], device, name=_name(run), data=options["data"]), run


def _folders(catalog: Catalog, images: Path, device: torch.device, options: dict[str, Any]) -> Samples:
    """Images that any program wrote: of 8-bit RGB, or of the values that --range or --domain says."""
    given = {name: options[name] for name in ("real", "truths")}
    flags = {flag for flag, name in OF_IMAGES.items() if options[name]}
    if not flags & {"--range", "--domain"}:
        if alone := sorted(flags & {"--mask", "--unit"}):
            raise UsageError(f"{alone[0]} is for files of values", fix="say their range: --range=LOW,HIGH")
        from i2i_forge.measure.image_folders import FolderSamples

        return FolderSamples(images, device, sources=options["sources"], draws=options["draws"], **given)
    if odd := sorted(flags & ({"--sources", "--draws"} | ({"--range", "--unit"} if "--domain" in flags else set()))):
        raise UsageError(f"{odd[0]} does not go with {'--domain' if '--domain' in flags else '--range'}",
                         fix=f"leave {odd[0]} out")  # fmt: skip
    from i2i_forge.data.file_formats import Files
    from i2i_forge.measure.value_folders import ValueFolders, described
    from i2i_forge.recipe.yaml_source import read_yaml

    if options["domain"]:
        space = described(read_yaml(options["domain"]).data, one_line(str(options["domain"])))
    else:
        unit = [f"unit={options['measured_in']}"] if "--unit" in flags else []
        space = described(parse_options([f"range=[{options['ends']}]", *unit], "--range"), "--range")
    return ValueFolders(images, device, space, Files(catalog.files), mask=options["mask"], **given)


def _name(run: Path) -> str:
    """What records call a run: `munit` for runs/munit, else with the folder above, `demo/run`, `no_style/seed-0`."""
    *_, above, name = run.resolve().parts
    return name if above == "runs" else f"{above}/{name}"


def _classifier(options: dict[str, Any], device: torch.device) -> Any:
    if not options["classifier"]:
        return None
    from i2i_forge.measure.mode_classifier import load_classifier, refuse_if_inaccurate

    classifier = load_classifier(options["classifier"], device)
    if not options["force"]:
        refuse_if_inaccurate(classifier)
    return classifier


def _print(records: Sequence[Record]) -> None:
    from i2i_forge.study.page.metric_table import interval_text, value_text

    rows = [
        (
            f"{record.metric}\n{'higher' if record.direction == 'up' else 'lower'} is better", record.protocol,
            value_text(record), interval_text(record),
            "\n".join(f"{key} {number:.4g}" for key, number in record.components.items()),
            f"{record.n.inputs} x {record.n.outputs_per_input}", record.backbone.id,
        )
        for record in records
    ]  # fmt: skip
    print_table("metric", "protocol", "value", "95 % interval", "details", "inputs x outputs", "network",
                rows=rows, title=records[0].model.name, title_justify="left")  # fmt: skip
    for text in dict.fromkeys(text for record in records for text in record.warnings):
        say(f"note: {text}")


def _list(catalog: Catalog, as_json: bool) -> None:
    entries = catalog.metrics.entries()
    if as_json:
        print_json([{"metric": entry.name, "protocol": p.name, "inputs": p.inputs, "outputs": p.draws, "about": p.about}
                    for entry in entries for p in entry.component.protocols])  # fmt: skip
        return
    for entry in entries:
        summary, *more = inspect.cleandoc(entry.component.__doc__ or "").split("\n\n")
        details = [" ".join(text.split()) for text in more if text.startswith("Components:")]
        say("\n  ".join([f"{entry.name} {summary}", *details]))
        rows = [(p.name, f"{p.inputs or 'all'} x {p.draws}", p.about) for p in entry.component.protocols]
        print_table(rows=rows, show_header=False, box=None, padding=(0, 1, 0, 2))
    click.echo("A metric's first protocol is its default; the numbers are inputs x translations of each.")
    click.echo("Components are what the column `details` of a measurement shows.")
