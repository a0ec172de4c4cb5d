"""MUNIT's step beside one that is written down plainly, at small sizes too: where operations cost more than arithmetic.

    python -m i2i_forge_benchmarks.small_steps --out benchmarks/results

The plain step has networks and optimizers of its own (plugins/plain_steps/munit_step.py), fp32, of the same widths and
sizes. Both take a step in turn, on one thread of one process; seconds are of the processor, ratios medians of pairs.
"""

from __future__ import annotations

import itertools
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import torch

import i2i_forge
from i2i_forge.study.bench_steps import images_of
from i2i_forge_benchmarks.shared import out_option, publish, ratio
from i2i_forge_plugins.plain_steps.munit_step import MunitStep

RECIPE = "munit_edge2shoes"
SHAPES = ((64, 16, 2, 20), (128, 32, 1, 8), (256, 64, 1, 3))  # pixels, width, images in a step, rounds


@click.command()
@out_option
def main(out: Path | None) -> None:
    """Measure the three shapes."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    lines = ["| pixels | width | images | ours, s | plain, s | ratio |", "|---|---|---|---|---|---|"]
    for size, width, images, rounds in SHAPES:
        ways = steps_of(size, width, images)
        taken: list[list[float]] = [[], []]
        for each in range(rounds + 1):
            for way, found in zip(ways, taken, strict=True):
                began = time.process_time()
                way()
                if each:  # the first warms up
                    found.append(time.process_time() - began)
        ours, plain = map(statistics.median, taken)
        lines.append(f"| {size} | {width} | {images} | {ours:.3f} | {plain:.3f} | {ratio(*taken):.2f} |")
    publish("small_steps", "MUNIT's step beside a plain one", lines, out)


def steps_of(size: int, width: int, images: int) -> list[Callable[[], object]]:
    """A step of ours and a plain one, of noise, to be taken again and again."""
    roles = i2i_forge.load_recipe(RECIPE).networks
    changes = [f"data.size={size}", f"data.batch={images}", *(f"networks.{role}.width={width}" for role in roles)]
    recipe = i2i_forge.load_recipe(RECIPE, set=changes)
    trainer, plain, batch, count = (
        i2i_forge.build_trainer(recipe),
        MunitStep(width),
        images_of(recipe),
        itertools.count(),
    )
    return [lambda: trainer.step(batch, next(count)), lambda: plain.step(batch["a"], batch["b"])]


if __name__ == "__main__":
    main()
