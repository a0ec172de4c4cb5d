"""Seconds, memory and time outside convolutions of one training step.

    python -m i2i_forge_benchmarks.step munit_edge2shoes --precision fp32 --precision bf16 --out benchmarks/results

Each precision runs in a process of its own, so that its peak memory is its own. Images are random; no data is loaded.
"""

from __future__ import annotations

import datetime
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import torch

import i2i_forge
from i2i_forge_benchmarks.machine import provenance

PRODUCTS = ("conv", "addmm", "mm", "bmm", "linear", "matmul")  # in the names of kernels that multiply matrices


@click.command()
@click.argument("recipe")
@click.option("--set", "changes", multiple=True)
@click.option("--precision", "precisions", multiple=True, default=["fp32"])
@click.option("--steps", default=3, help="Measured steps, after one that is not.")
@click.option("--device", default="cpu")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the table.")
@click.option("--child", is_flag=True, hidden=True)
def main(
    recipe: str, changes: tuple[str, ...], precisions: tuple[str, ...], steps: int, device: str, out: Path | None,
    child: bool,
) -> None:  # fmt: skip
    """Measure a training step of RECIPE."""
    if child:
        click.echo(json.dumps(measure(recipe, [*changes, f"precision={precisions[0]}"], steps, device)))
        return
    rows = []
    for precision in precisions:
        options = [f"--set={change}" for change in changes] + [f"--steps={steps}", f"--device={device}", "--child"]
        command = [sys.executable, "-m", "i2i_forge_benchmarks.step", recipe, f"--precision={precision}", *options]
        rows.append((precision, json.loads(subprocess.run(command, check=True, capture_output=True).stdout)))
    text = table(recipe, rows, device)
    click.echo(text)
    if out:
        file = out / f"step-{datetime.date.today()}-{device}.md"
        file.write_text(text, encoding="utf-8")


def measure(recipe: str, changes: list[str], steps: int, device: str) -> dict[str, Any]:
    """Seconds per step, peak memory in bytes, and the share of kernel time outside products."""
    checked = i2i_forge.load_recipe(recipe, set=changes)
    trainer = i2i_forge.build_trainer(checked, device)
    size, batch = checked.data.options["size"], checked.data.batch
    images = {name: torch.rand(batch, 3, size, size) * 2 - 1 for name in ("a", "b")}
    trainer.step(images, 0)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        trainer.step(images, step)
    seconds = (time.perf_counter() - start) / steps
    peak = torch.cuda.max_memory_allocated() if device.startswith("cuda") else _peak_rss()
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if device != "cpu" else [])]
    with torch.profiler.profile(activities=kinds) as profile:
        trainer.step(images, steps + 1)
    own = {
        e.key: e.self_device_time_total if device != "cpu" else e.self_cpu_time_total for e in profile.key_averages()
    }
    products = sum(value for key, value in own.items() if any(word in key.lower() for word in PRODUCTS))
    return {
        "seconds": seconds,
        "bytes": peak,
        "outside": 1 - products / sum(own.values()),
        "images": f"{batch} x {size}x{size}",
    }


def table(recipe: str, rows: list[tuple[str, dict[str, Any]]], device: str) -> str:
    """Markdown with everything that is needed to repeat the measurement."""
    lines = [
        f"# One training step of {recipe}\n",
        *provenance("step", device=device),
        "| precision | images | seconds per step | peak memory | kernel time outside convolutions and products |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {precision} | {r['images']} | {r['seconds']:.2f} | {r['bytes'] / 2**30:.2f} GiB | {r['outside']:.0%} |"
        for precision, r in rows
    ]
    return "\n".join(lines) + "\n"


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
