"""What a step of each method costs beside its published program's, and pages of what finished runs learnt.

    python -m i2i_forge_benchmarks.methods calls --out benchmarks/results
    python -m i2i_forge_benchmarks.methods page runs/munit_synthetic runs/unit_synthetic --out benchmarks/results

`calls`: network calls of the published settings, and the peak memory of one real step. No published program is at
hand: its memory is that of a plain step with the same networks, calls and graphs (plugins/plain_steps/). Each
measurement runs in a process of its own.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trainer import Trainer
from i2i_forge.study.bench_steps import images_of
from i2i_forge.study.provenance import forget_peak, memory
from i2i_forge_benchmarks.method_pages import write_page
from i2i_forge_benchmarks.shared import alone, out_option, publish
from i2i_forge_plugins.plain_steps.table import PLAIN_STEPS


@click.group()
def main() -> None:
    """Measure the methods."""


def calls_of(recipe: str) -> dict[str, int]:
    """How often one step of ours runs each role."""
    checked = i2i_forge.load_recipe(recipe)
    traced = trace_recipe(checked, load_plugins().catalog)
    names = (name.partition(".")[0] for networks in traced.calls.values() for name in networks)
    return dict(Counter(name for name in names if name in checked.networks))


def counted(trainer: Trainer, step: Callable[[], Any]) -> dict[str, int]:
    """How often a step runs each role."""
    found: Counter[str] = Counter()
    for role, networks in trainer.networks.items():
        for network in networks.values():
            network.register_forward_pre_hook(lambda *_, role=role: found.update([role]))
    step()
    return dict(found)


@main.command()
@out_option
@click.option("--only", multiple=True, help="These recipes instead of all six.")
def calls(out: Path | None, only: tuple[str, ...]) -> None:
    """Calls and peak memory of one step, ours and the published one."""
    rows = []
    for recipe in only or PLAIN_STEPS:
        ours, theirs = calls_of(recipe), PLAIN_STEPS[recipe].calls
        assert set(ours) == set(theirs) and all(ours[role] <= theirs[role] for role in ours), (recipe, ours, theirs)
        rows.append(_row(recipe, ours, _measured(recipe, "ours"), _measured(recipe, "published")))
        click.echo(rows[-1], err=True)
    lines = [
        "The published settings, fp32. Calls: ours / the published program's, by role; a generator is encoder and",
        "decoder. Memory: the peak of one real step, the optimizers' memory included, above that of the process",
        "with its networks built. No published program was run: its memory is that of a plain step with the same",
        "networks, calls and kept graphs (`plugins/plain_steps/published.py`). Repetitions differ by under 0.1 %.\n",
        "| recipe | images | calls by role | calls | ours | plain step | ratio |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    publish("methods", "Network calls and memory of one training step", lines, out, name="methods-calls")


@main.command(hidden=True)
@click.argument("recipe")
@click.argument("which", type=click.Choice(["ours", "published"]))
def measure(recipe: str, which: str) -> None:
    """Print one step's peak memory above that of the process with its networks built, as JSON."""
    checked = i2i_forge.load_recipe(recipe)
    trainer = i2i_forge.build_trainer(checked)
    images = images_of(checked)
    plain = PLAIN_STEPS[recipe].on(trainer.networks)
    step = partial(trainer.step, images, 0) if which == "ours" else partial(plain, images)
    gc.collect()
    forget_peak()
    before = memory("VmHWM")
    found = counted(trainer, step)
    size = checked.data.options["size"]
    images_text = f"{checked.data.batch} x {size}x{size}"
    click.echo(json.dumps({"calls": found, "bytes": memory("VmHWM") - before, "images": images_text}))


def _measured(recipe: str, which: str) -> dict[str, Any]:
    found: dict[str, Any] = alone("methods", "measure", recipe, which)
    expected = PLAIN_STEPS[recipe].calls if which == "published" else calls_of(recipe)
    assert found["calls"] == expected, (recipe, which, found["calls"], expected)
    return found


def _row(recipe: str, ours: dict[str, int], mine: dict[str, Any], plain: dict[str, Any]) -> str:
    published = PLAIN_STEPS[recipe].calls
    roles = ", ".join(f"{role} {ours[role]}/{count}" for role, count in published.items())
    totals = f"{sum(ours.values())} / {sum(published.values())}"
    memory = (
        f"{mine['bytes'] / 2**20:,.0f} MiB | {plain['bytes'] / 2**20:,.0f} MiB | {mine['bytes'] / plain['bytes']:.2f}"
    )
    return f"| {recipe} | {mine['images']} | {roles} | {totals} | {memory} |"


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", default="benchmarks/results", type=click.Path(path_type=Path), help="Folder for page and pictures."
)
@click.option("--inputs", default=5, help="Test inputs.")
def page(runs: tuple[Path, ...], out: Path, inputs: int) -> None:
    """Write methods-synthetic.md and its pictures from finished RUNS."""
    click.echo(write_page(list(runs), out, inputs))


if __name__ == "__main__":
    main()
