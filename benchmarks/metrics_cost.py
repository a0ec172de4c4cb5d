"""What metrics cost beside the translations: seconds and network operations for one image.

    python -m i2i_forge_benchmarks.metrics_cost --out benchmarks/results

Weights are random: they do not change the time. Each metric sees the same random images; the time is that of `update`,
the median of repeats; what `compute` takes at the end is beside it.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.measure import Batch, Metric, Tools
from i2i_forge_benchmarks.shared import out_option, publish, timed

SIZES = {"lpips-diversity": 256, "fid": 256, "cis": 64, "structure": 256, "ssim": 256}
IMAGES, DRAWS = 16, 4


@click.command()
@click.option("--device", default="cpu")
@click.option("--repeats", default=3)
@out_option
def main(device: str, repeats: int, out: Path | None) -> None:
    """Measure the metrics of SIZES."""
    rows = [_row(name, size, torch.device(device), repeats) for name, size in SIZES.items()]
    lines = [
        f"Random weights, batches of {IMAGES} images, medians of {repeats}. GFLOP count a multiplication and an",
        "addition as two.\n",
        "| metric | image | network GFLOP per image | seconds per image | seconds to compute the number |",
        "|---|---|---|---|---|",
        *rows,
    ]
    publish("metrics_cost", "What metrics cost beside the translations", lines, out, device=device)


def _row(name: str, size: int, device: torch.device, repeats: int) -> str:
    component = load_plugins().catalog.metrics.get(name)
    backbone = "random" if "random" in component.backbones else ""
    metric: Metric = component(component.protocols[0], Tools(device, backbone))
    with FlopCounterMode(display=False) as counter:
        metric.update(_batch(metric, size, 0))
    gflop = counter.get_total_flops() / 1e9 / IMAGES if metric.backbone else 0.0
    seconds = statistics.median(_timed(metric, size, number) for number in range(1, repeats + 1))
    if component.real != "no":
        metric.update_real(_batch(metric, size, repeats + 1))
    computing, _ = timed(metric.compute)
    return f"| {name} | {size}x{size} | {gflop:.2f} | {seconds:.4f} | {computing:.2f} |"


def _timed(metric: Metric, size: int, number: int) -> float:
    batch = _batch(metric, size, number)
    return timed(lambda: metric.update(batch))[0] / IMAGES


def _batch(metric: Metric, size: int, number: int) -> Batch:
    """Images of inputs that no other batch has."""
    made, device, each = torch.Generator().manual_seed(number), metric.tools.device, min(DRAWS, metric.protocol.draws)
    images, others = (torch.rand(IMAGES, 3, size, size, generator=made).to(device) * 2 - 1 for _ in range(2))
    inputs, draws = zip(*(divmod(number * IMAGES + i, each) for i in range(IMAGES)), strict=True)
    return Batch(images, list(inputs), list(draws), ["random"] * IMAGES, others, others)


if __name__ == "__main__":
    main()
