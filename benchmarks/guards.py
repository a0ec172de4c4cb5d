"""What the guards against silent damage cost: the finite check, the ranks' fingerprints, and fsync.

    python -m i2i_forge_benchmarks.guards munit_edge2shoes --out benchmarks/results

Everything is measured in one process, with and without in turn. The finite check runs in every step; fingerprints and
checkpoints as often as the recipe says. Images are random; no data is loaded.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import click
import torch

import i2i_forge
from i2i_forge.engine import optimizers, trainer
from i2i_forge.recipe.reading import Recipe
from i2i_forge.run import checkpoint
from i2i_forge.study.bench_steps import images_of
from i2i_forge.system.distributed.parameters import fingerprint
from i2i_forge_benchmarks.shared import out_option, publish
from i2i_forge_benchmarks.shared import timed as in_seconds

Timed = dict[str, list[float]]  # seconds


@click.command()
@click.argument("recipe")
@click.option("--set", "changes", multiple=True)
@click.option("--pairs", default=5, show_default=True, help="Steps with and without the finite check.")
@click.option("--device", default="cpu")
@out_option
def main(recipe: str, changes: tuple[str, ...], pairs: int, device: str, out: Path | None) -> None:
    """Measure the guards of RECIPE."""
    checked = i2i_forge.load_recipe(recipe, set=changes)
    publish("guards", f"What the guards of {checked.name} cost", table(checked, *measure(checked, pairs, device)), out,
            device=device)  # fmt: skip


def measure(recipe: Recipe, pairs: int, device: str) -> tuple[Timed, int]:
    """Seconds of steps, fingerprints and checkpoints; and the bytes of a checkpoint."""
    built = i2i_forge.build_trainer(recipe, device)
    images = images_of(recipe, device)
    timed: Timed = {}

    def clock(name: str, work: Callable[[], Any]) -> Any:
        seconds, result = in_seconds(work)
        timed.setdefault(name, []).append(seconds)
        return result

    steps = iter(range(3 * pairs + 2))
    for _ in range(2):
        built.step(images, next(steps))
    for _ in range(pairs):
        clock("step", lambda: built.step(images, next(steps)))
        with watched_check(clock):
            inside = len(timed.get("one check", []))
            built.step(images, next(steps))
            timed.setdefault("checks of a step", []).append(sum(timed["one check"][inside:]))
        with no_finite_check():
            clock("step without the finite check", lambda: built.step(images, next(steps)))
    parameters = built.parameters().values()
    for _ in range(3):
        clock("fingerprints", lambda: torch.stack([fingerprint(p) for p in parameters]).tolist())
    del timed["one check"]
    with tempfile.TemporaryDirectory() as folder:
        for step in range(3):
            clock("save", partial(checkpoint.save, Path(folder), 2 * step, built, {}, 1))
            with mock.patch.object(os, "fsync", lambda handle: None):
                clock("save without fsync", partial(checkpoint.save, Path(folder), 2 * step + 1, built, {}, 1))
        content = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return timed, content


@contextmanager
def watched_check(clock: Callable[[str, Callable[[], Any]], Any]) -> Iterator[None]:
    """The norms of a step's gradients are timed; beside them the check is one comparison of a number."""
    clip = optimizers.OptimizerEntry.clip_gradients

    def timed(self: optimizers.OptimizerEntry, trained: Collection[str]) -> torch.Tensor | None:
        return clock("one check", lambda: clip(self, trained))

    with mock.patch.object(optimizers.OptimizerEntry, "clip_gradients", timed):
        yield


@contextmanager
def no_finite_check() -> Iterator[None]:
    """A step computes no norm of its gradients, and does not look at its losses."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(optimizers.OptimizerEntry, "clip_gradients", lambda self, trained: None))
        stack.enter_context(mock.patch.object(trainer, "math", SimpleNamespace(isfinite=lambda value: True)))
        yield


def table(recipe: Recipe, timed: Timed, content: int) -> list[str]:
    """In markdown."""
    median = {name: statistics.median(values) for name, values in timed.items()}
    step, run = median["step"], recipe.run
    pairs = zip(timed["step"], timed["step without the finite check"], strict=True)
    saved, finite = statistics.median(a - b for a, b in pairs), median["checks of a step"]
    fsync = median["save"] - median["save without fsync"]
    rows = [
        ("finite check", "every step", finite, finite),
        ("fingerprints of all parameters (several ranks)", f"every {run.rank_check_every:,} steps",
         median["fingerprints"], median["fingerprints"] / run.rank_check_every),
        (f"fsync of a checkpoint of {content / 2**20:.0f} MiB", f"every {run.checkpoint_every:,} steps", fsync,
         fsync / run.checkpoint_every),
    ]  # fmt: skip
    size = recipe.data.options["size"]
    return [
        f"{recipe.data.batch} x {size}x{size} images, {recipe.precision} in {step:.3f} s a step. Of the finite check",
        f"the time inside is stated; steps without it, in turn, were faster by {saved:.3f} s ({saved / step:.2%};",
        f"median of {len(timed['step'])} pairs). fsync is the difference of three pairs of saves.\n",
        "| guard | when | seconds | of a step's time |",
        "|---|---|---|---|",
        *(f"| {name} | {when} | {seconds:.4f} | {each / step:.3%} |" for name, when, seconds, each in rows),
        f"| all | | | {sum(each for *_, each in rows) / step:.3%} |",
        "",
        "| seconds | " + " | ".join(timed) + " |",
        "|---|" + "---|" * len(timed),
        "| all | " + " | ".join(", ".join(f"{value:.3f}" for value in values) for values in timed.values()) + " |",
    ]


if __name__ == "__main__":
    main()
