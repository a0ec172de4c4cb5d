"""Time and memory of a training step: the engine with its switches beside a plain step, in turn in one process.

    forge bench                                    all six methods as published
    forge bench munit_edge2shoes --rounds 5 --out benchmarks/results
    forge bench --device cuda --batch 1 --batch 8 --batch 32 --out benchmarks/results

Of MUNIT the plain step is `reference/`, which shares nothing with i2i_forge; of the others it is the step of
published_steps.py on our networks, so that the ratio is what the engine alone buys. A recipe of one's own stands beside
the plain step of its method on its networks, whatever its terms are; without one, beside its own fp32 step. Images are
random; no data is read. Memory is measured in a process for each row.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

import i2i_forge
from i2i_forge.cli.common import chosen_device
from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.system.outputs import marked, refuse_to_replace
from i2i_forge_benchmarks.machine import EXACT_MEMORY, memory, provenance
from i2i_forge_benchmarks.methods import can_recompute, compared_with, images_of
from i2i_forge_benchmarks.published_steps import CALLS, STEPS, remembered
from i2i_forge_benchmarks.reference.munit_step import MunitStep
from i2i_forge_benchmarks.speed_table import TITLE, Row, page

PLAIN = "plain step, fp32"
VARIANTS = {
    "fp32": (),
    "bf16": ("precision=bf16",),
    "fp32, channels_last": ("run.channels_last=true",),
    "bf16, channels_last": ("precision=bf16", "run.channels_last=true"),
    "fp32, recompute": ("run.recompute=ALL",),
    "bf16, recompute": ("precision=bf16", "run.recompute=ALL"),
}
ON_CUDA = {  # there fp32 is torch's default, TF32 in convolutions
    "fp32 without TF32": (),
    "bf16, compile": ("precision=bf16", "run.compile=ALL"),
    "bf16, channels_last, compile": ("precision=bf16", "run.channels_last=true", "run.compile=ALL"),
}
SIDE = 4096  # of the matrix product that is the ceiling


def bench(
    recipes: tuple[str, ...], changes: tuple[str, ...], sizes: tuple[int, ...], rows: tuple[str, ...], rounds: int,
    device: str, out: Path | None,
) -> None:  # fmt: skip
    """Measure, print the page, and write it to a folder.

    Args:
        recipes: names or files; none for those of CALLS.
        changes: to all of them.
        sizes: of batches, in place of the recipes'; a table for each.
        rows: of a table, beside the plain step; none for all.
        rounds: steps of each row, taken in turn.
        device: "auto", "cpu", "cuda" ...
        out: the folder.

    Raises:
        UsageError: there is no such row.
        RecipeError: a recipe has mistakes.
    """
    for recipe in recipes:
        i2i_forge.load_recipe(recipe, set=changes)
    device = str(chosen_device(device))
    known = VARIANTS if device == "cpu" else VARIANTS | ON_CUDA
    for row in rows:
        if row not in known:
            raise UsageError(f"--row: there is no '{row}'", fix=f"there is: {'; '.join(known)}")
    file = out and out / f"speed-{datetime.date.today()}-{device.partition(':')[0]}.md"
    if file:
        refuse_to_replace([file], marked(TITLE))
    tables = {}
    for recipe in recipes or CALLS:
        for own in [(*changes, f"data.batch={size}") for size in sizes] or [changes]:
            title = " ".join((recipe, *own[len(changes) :]))
            click.echo(f"{title} ...", err=True)
            if recipe not in CALLS:
                title += f" (beside {compared_with(i2i_forge.load_recipe(recipe, set=own)) or 'itself'})"
            try:
                tables[title] = measure(recipe, own, tuple(dict.fromkeys(rows or known)), rounds, device)
            except (ForgeError, ValueError, torch.OutOfMemoryError) as error:  # BicycleGAN halves its batch
                click.echo(f"{title} is left out: {error}", err=True)
    text = page(tables, {p: ceiling(p, device) for p in ("fp32", "bf16")}, provenance("forge", device=device))
    click.echo(text)
    if file:
        file.write_text(text)


def measure(recipe: str, changes: tuple[str, ...], rows: tuple[str, ...], rounds: int, device: str) -> list[Row]:
    """Every row's seconds in turn, its operations, and its peak memory from a process of its own."""
    beside = PLAIN if compared_with(i2i_forge.load_recipe(recipe, set=changes)) else "fp32"
    names = tuple(dict.fromkeys((beside, *rows)))
    steps = {name: build(recipe, name, changes, device) for name in names}
    operations = {name: _operations(step) for name, step in steps.items()}  # the first step: nothing is warm before it
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            _wait(device)
            seconds[name].append(time.perf_counter() - began)
    kinds = {name: _kinds(step, device) for name, step in steps.items()}
    images = i2i_forge.load_recipe(recipe, set=changes).data.batch
    steps.clear()
    return [
        Row(
            name, statistics.median(seconds[name]),
            statistics.median(mine / plain for mine, plain in zip(seconds[name], seconds[beside], strict=True)),
            images, operations[name], _peak_of(recipe, name, changes, device), kinds[name],
        )
        for name in names
    ]  # fmt: skip


def build(recipe: str, name: str, changes: tuple[str, ...], device: str) -> Callable[[], Any]:
    """The step of a row, ready to be taken again and again."""
    checked = i2i_forge.load_recipe(recipe, set=changes)
    images = images_of(checked, device)
    if name == PLAIN and recipe == "munit_edge2shoes":
        step = MunitStep(device=device).step
        return lambda: step(images["a"], images["b"])
    if name == PLAIN:
        networks = i2i_forge.build_trainer(checked, device).networks
        optimizers: dict[Any, torch.optim.Adam] = {}
        published = STEPS[compared_with(checked) or recipe]

        def plain() -> None:
            with remembered(optimizers):
                published(networks, images)

        return plain
    roles = list(checked.networks)
    own = (VARIANTS | ON_CUDA)[name]
    if "run.recompute=ALL" in own:  # networks with running statistics cannot be computed twice
        roles = [role for role in roles if can_recompute(recipe, role, changes)]
    own = tuple(change.replace("ALL", f"[{', '.join(roles)}]") for change in own)
    trainer = i2i_forge.build_trainer(i2i_forge.load_recipe(recipe, set=[*changes, *own]), device)
    taken = iter(range(10**9))

    def step_of_ours() -> None:
        before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, "without TF32" not in name
        trainer.step(images, next(taken))
        torch.backends.cudnn.allow_tf32 = before

    return step_of_ours


def peak(recipe: str, name: str, changes: tuple[str, ...], device: str) -> int:
    """Bytes at the peak of two steps: weights, optimizers, activations; without the process's own."""
    if device != "cpu":
        step = build(recipe, name, changes, device)
        step()
        step()
        return torch.cuda.max_memory_allocated(device)
    torch.ones(256, 256) @ torch.ones(256, 256)  # the library's own buffers
    before = memory("VmRSS")
    step = build(recipe, name, changes, device)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    step()
    step()
    return memory("VmHWM") - before


def _peak_of(recipe: str, name: str, changes: tuple[str, ...], device: str) -> int:
    options = [f"--set={change}" for change in changes]
    command = [sys.executable, "-m", "i2i_forge_benchmarks.speed", recipe, name, *options, f"--device={device}"]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **EXACT_MEMORY})
    found: int = json.loads(ended.stdout)
    return found


def ceiling(precision: str, device: str) -> float:
    """Operations per second of a large matrix product in this precision: the best of ten."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.rand(SIDE, SIDE, device=device, dtype=kind) for _ in "ab")
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best


def _operations(step: Callable[[], Any]) -> int:
    """Multiplications and additions of convolutions and products in one step, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


GROUPS = {  # the beginning of a kernel's name -> what it is for; the first that fits
    "convolutions and products": ("conv", "mkldnn_conv", "addmm", "mm", "bmm", "linear", "cudnn", "sm90", "cutlass"),
    "norms": ("native_batch_norm", "batch_norm", "native_layer_norm", "std_mean", "var", "instance_norm", "addcmul"),
    "padding, resizing, shuffling": ("reflection_pad", "replication_pad", "upsample", "pixel_shuffle", "cat", "index",
                                     "avg_pool", "constant_pad"),
    "optimizers": ("_fused_adam", "_foreach", "Optimizer"),
}  # fmt: skip


def _kinds(step: Callable[[], Any], device: str) -> dict[str, float]:
    """Kind of operation -> its share of the kernels' time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if device != "cpu" else []
    with torch.profiler.profile(activities=activities) as profile:
        step()
        _wait(device)
    shares: dict[str, float] = {}
    for event in profile.key_averages():
        own = event.self_device_time_total if device != "cpu" else event.self_cpu_time_total
        name = event.key.removeprefix("aten::").removeprefix("mkldnn_")
        kind = next((group for group, begins in GROUPS.items() if any(word in name for word in begins)), "the rest")
        shares[kind] = shares.get(kind, 0.0) + own
    whole = sum(shares.values())
    return {kind: share / whole for kind, share in shares.items()}


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


@click.command()
@click.argument("recipe")
@click.argument("name")
@click.option("--set", "changes", multiple=True)
@click.option("--device", default="cpu")
def main(recipe: str, name: str, changes: tuple[str, ...], device: str) -> None:
    """Print the peak memory of a row."""
    click.echo(peak(recipe, name, changes, device))


if __name__ == "__main__":
    main()
