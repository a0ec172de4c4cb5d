"""What several ranks buy on this machine's cores, and what their gradients would cost on GPUs, by a model.

    python -m i2i_forge_benchmarks.scaling munit_edge2shoes --set data.size=128 --out benchmarks/results

Each rank has one thread and one image in a step, so that two ranks do twice the work of one. One rank and two are
measured in turn; efficiency is their images/s beside that of one rank times their number.

The model: an all-reduce over n GPUs moves 2 (n - 1) / n of the gradients' bytes through each GPU's slowest link, and
nothing of it overlaps with computing, as in the engine. Bandwidths and the rate of computing are assumptions; they are
printed.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import click
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.utils.flop_counter import FlopCounterMode

import i2i_forge
from i2i_forge.engine.passes import StepPasses
from i2i_forge.system import distributed
from i2i_forge_benchmarks.shared import out_option, publish, ratio

STEPS = 3  # measured in each round, after one
RATE = 0.4 * 790e12  # operations per second of an H200 in bf16: 40 % of its dense matrix product
IMAGES = 8  # of each GPU in a step
LINKS = {  # what is between the GPUs -> (their number, bytes per second that each can send)
    "8 GPUs, NVLink": (8, 450e9),
    "4 nodes of 8 GPUs, a 400 Gbit/s adapter for each": (32, 50e9),
    "4 nodes of 8 GPUs, one 100 Gbit/s adapter a node": (32, 12.5e9 / 8),
}


def work(rank: int, ranks: int, folder: str, recipe: str, changes: tuple[str, ...]) -> None:
    """Take steps as one of the ranks; the first writes the median seconds of a step, and of averaging gradients."""
    torch.set_num_threads(1)
    if ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    checked = i2i_forge.load_recipe(recipe, set=[*changes, f"data.batch={ranks}"])
    trainer, size = i2i_forge.build_trainer(checked), checked.data.options["size"]
    images = {domain: torch.rand(1, 3, size, size) * 2 - 1 for domain in ("a", "b")}
    averaging: list[float] = []
    average = distributed.average_gradients

    def timed(parameters: Iterable[nn.Parameter], loss: torch.Tensor) -> list[int]:
        began = time.perf_counter()
        found = average(parameters, loss)
        averaging.append(time.perf_counter() - began)
        return found

    distributed.average_gradients = timed
    seconds = []
    for step in range(1 + STEPS):
        distributed.roll_call()
        began, averaging[:] = time.perf_counter(), []
        trainer.step(images, step)
        seconds.append((time.perf_counter() - began, sum(averaging)))
    if rank == 0:
        medians = [statistics.median(values) for values in zip(*seconds[1:], strict=True)]
        Path(folder, "seconds").write_text(json.dumps(medians))
    if ranks > 1:
        dist.destroy_process_group()


def measured(ranks: int, recipe: str, changes: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of a step on so many ranks, and of averaging gradients in it."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, args=(ranks, folder, recipe, changes), nprocs=ranks)
        step, averaging = json.loads(Path(folder, "seconds").read_text())
    return step, averaging


def operations(recipe: str) -> float:
    """Multiplications and additions of a step with one image at 256x256, as torch counts them on tensors without
    data."""
    checked = i2i_forge.load_recipe(recipe, set=["data.size=256", "data.batch=1"])
    trainer = i2i_forge.build_trainer(checked, "meta")
    images = {domain: torch.empty(1, 3, 256, 256, device="meta") for domain in ("a", "b")}
    with FlopCounterMode(display=False) as counter:
        passes = StepPasses(trainer, images, 0, {}, phases=trainer.phases)
        for phase in trainer.phases:
            with trainer.training_only(phase.trains):
                trainer.losses(phase, passes, 0)[1].backward()
    return float(counter.get_total_flops())


def modelled(recipe: str) -> list[str]:
    """The table of the model."""
    trainer = i2i_forge.build_trainer(i2i_forge.load_recipe(recipe), "meta")
    trained = {role for phase in trainer.phases for role in phase.trains}
    gradients = 4 * sum(
        p.numel() for role in trained for net in trainer.networks[role].values() for p in net.parameters()
    )
    work_of_image = operations(recipe)
    computing = IMAGES * work_of_image / RATE
    lines = [
        f"Model: {gradients / 1e6:,.0f} MB of fp32 gradients in a step; {work_of_image / 1e12:.2f} TFLOP for an image "
        f"at 256x256, at {RATE / 1e12:.0f} TFLOP/s {1e3 * computing:.0f} ms for {IMAGES} images on each GPU.\n",
        "| between the GPUs | GB/s of each | all-reduce | efficiency |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for name, (number, bandwidth) in LINKS.items():
        seconds = 2 * (number - 1) / number * gradients / bandwidth
        lines.append(
            f"| {name} | {bandwidth / 1e9:.4g} | {1e3 * seconds:.1f} ms | {computing / (computing + seconds):.0%} |"
        )
    return lines


@click.command()
@click.argument("recipe")
@click.option("--set", "changes", multiple=True)
@click.option("--rounds", default=3)
@out_option
def main(recipe: str, changes: tuple[str, ...], rounds: int, out: Path | None) -> None:
    """Measure, model, print, and write the page to a folder."""
    os.environ["OMP_NUM_THREADS"] = "1"
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for ranks, values in found.items():
            values.append(measured(ranks, recipe, changes))
    efficiency = ratio(*([seconds for seconds, _ in found[ranks]] for ranks in (1, 2)))
    lines = ["| ranks | images in a step | seconds | of it averaging gradients | efficiency |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for ranks, values in found.items():
        step, averaging = (statistics.median(each) for each in zip(*values, strict=True))
        lines.append(
            f"| {ranks} | {ranks} | {step:.3f} | {averaging / step:.1%} | {1 if ranks == 1 else efficiency:.0%} |"
        )
    lines += ["", "One thread and one image for each rank; medians of rounds in turn.\n", *modelled(recipe)]
    publish("scaling", f"Several ranks, {recipe}", lines, out)


if __name__ == "__main__":
    main()
