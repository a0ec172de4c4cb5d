"""Time and memory of a training step: the engine with its switches beside a plain step, in turn in one process.

    forge bench                                    all six methods as published
    forge bench munit_edge2shoes --rounds 5 --out benchmarks/results
    forge bench --device cuda --batch 1 --batch 8 --batch 32 --out benchmarks/results

A recipe that has a plain step stands beside it: on the recipe's networks, so that the ratio is what the engine alone
buys, or on networks that share nothing with i2i_forge. Another recipe stands beside the plain step of its method on its
own networks, whatever its terms are; without one, beside its own fp32 step. Images are random; no data is read. Memory
is measured in a process for each row.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from i2i_forge.engine.api import load_recipe
from i2i_forge.errors import ForgeError, UsageError
from i2i_forge.study.bench_steps import ON_CUDA, PLAIN, VARIANTS, build, compared_with, plain_steps
from i2i_forge.study.provenance import forget_peak, in_a_process, memory, provenance

TITLE = "# A training step: time, memory, and where the time goes"
SIDE = 4096  # of the matrix product that is the ceiling


@dataclass(frozen=True)
class Row:
    """What was measured of one way to take a step.

    Attributes:
        name: of the way.
        seconds: the median of its steps.
        ratio: of its time to the plain step's in the same round, the median.
        images: in a step and domain.
        operations: multiplications and additions of a step.
        bytes: peak memory.
        kinds: kind of operation -> share of the time.
    """

    name: str
    seconds: float
    ratio: float
    images: int
    operations: int
    bytes: int
    kinds: Mapping[str, float]


def bench(
    recipes: Sequence[str], changes: tuple[str, ...], sizes: Sequence[int], rows: Sequence[str], rounds: int,
    device: str, note: Callable[[str], None],
) -> str:  # fmt: skip
    """Measure, and return the page.

    Args:
        recipes: names or files; none for those with a plain step.
        changes: to all of them.
        sizes: of batches, in place of the recipes'; a table for each.
        rows: of a table, beside the plain step; none for all.
        rounds: steps of each row, taken in turn.
        device: "cpu", "cuda" ...
        note: is told what is being measured, and what cannot be.

    Raises:
        RecipeError: a recipe has mistakes.
        UsageError: there is no such row.
    """
    for recipe in recipes:
        load_recipe(recipe, set=changes)
    known = VARIANTS if device == "cpu" else VARIANTS | ON_CUDA
    for row in rows:
        if row not in known:
            raise UsageError(f"--row: there is no '{row}'", fix=f"there is: {'; '.join(known)}")
    tables = {}
    for recipe in recipes or plain_steps():
        for own in [(*changes, f"data.batch={size}") for size in sizes] or [changes]:
            title = " ".join((recipe, *own[len(changes) :]))
            note(f"{title} ...")
            if recipe not in plain_steps():
                title += f" (beside {compared_with(load_recipe(recipe, set=own)) or 'itself'})"
            try:
                tables[title] = measure(recipe, own, tuple(dict.fromkeys(rows or known)), rounds, device)
            except (ForgeError, ValueError, torch.OutOfMemoryError) as error:  # BicycleGAN halves its batch
                note(f"{title} is left out: {error}")
    return page(tables, {p: ceiling(p, device) for p in ("fp32", "bf16")}, provenance(device=device))


def measure(recipe: str, changes: tuple[str, ...], rows: tuple[str, ...], rounds: int, device: str) -> list[Row]:
    """Every row's seconds in turn, its operations, and its peak memory from a process of its own."""
    beside = PLAIN if compared_with(load_recipe(recipe, set=changes)) else "fp32"
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
    images = load_recipe(recipe, set=changes).data.batch
    steps.clear()
    peaks = {name: in_a_process("i2i_forge.study.speed", recipe, name, device, *changes) for name in names}
    return [
        Row(
            name, statistics.median(seconds[name]),
            statistics.median(mine / plain for mine, plain in zip(seconds[name], seconds[beside], strict=True)),
            images, operations[name], peaks[name], kinds[name],
        )
        for name in names
    ]  # fmt: skip


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
    forget_peak()
    step()
    step()
    return memory("VmHWM") - before


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


def _operations(step: Callable[[], object]) -> int:
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


def _kinds(step: Callable[[], object], device: str) -> dict[str, float]:
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


def page(tables: Mapping[str, Sequence[Row]], ceilings: Mapping[str, float], source: Sequence[str]) -> str:
    """Markdown: for each recipe a table, with everything that is needed to repeat it."""
    best = ", ".join(f"{precision} {rate / 1e9:,.0f} GFLOP/s" for precision, rate in ceilings.items())
    lines = [f"{TITLE}\n", *source]
    lines += [
        f"The ceiling, a large matrix product in the same run: {best}. Convolutions may pass it:",
        "some algorithms need fewer operations than are counted, and libraries differ. Ratios are to the first row's",
        "time in the same round, and to its peak memory (weights, optimizers, activations). Counted are the operations",
        "of convolutions and products, those that are computed again too. On GPUs fp32 has TF32 in convolutions, as",
        "torch does it by default.\n",
    ]
    for recipe, rows in tables.items():
        lines += [
            f"## {recipe}: {rows[0].images} image{'s' * (rows[0].images > 1)} in a step\n",
            *_table(rows, ceilings),
            "",
        ]
    return "\n".join(lines)


def _table(rows: Sequence[Row], ceilings: Mapping[str, float]) -> list[str]:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.kinds))
    head = ["", "seconds", "ratio", "images/s", "memory", "ratio", "TFLOP", "of the ceiling", *kinds]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        rate = ceilings["bf16" if row.name.startswith("bf16") else "fp32"]
        lines.append(
            [row.name, f"{row.seconds:.3f}", f"{row.ratio:.2f}", f"{row.images / row.seconds:.2f}",
             f"{row.bytes / 2**20:,.0f} MiB", f"{row.bytes / rows[0].bytes:.2f}", f"{row.operations / 1e12:.2f}",
             f"{row.operations / row.seconds / rate:.0%}", *(f"{row.kinds.get(kind, 0):.0%}" for kind in kinds)]
        )  # fmt: skip
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":  # a process for the memory of one row
    recipe, row, device, *changes = sys.argv[1:]
    sys.stdout.write(str(peak(recipe, row, tuple(changes), device)))
