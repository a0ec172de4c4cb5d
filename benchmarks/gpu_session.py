"""What only a GPU can show, in one command for the first hour with one, and a page of it.

    python -m i2i_forge_benchmarks.gpu_session --out benchmarks/results
    forge bench --device cuda --out benchmarks/results             # then: time and memory of each switch

In this order: do all methods take steps; does padding's backward repeat bit for bit; do runs, resumed ones too; how
many kernels a step launches beside the rehearsal's estimate; images per second beside a plain step; metrics after TF32
was switched on. A part that fails is on the page with its error, and the next one is tried. Lines are shown as they are
found, so that a session that is cut off has said what it knew.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.measure.batch import exact
from i2i_forge.nn import Pad
from i2i_forge.run.checkpoint import digest
from i2i_forge.run.loop import Run
from i2i_forge.study.bench_steps import PLAIN, build, images_of
from i2i_forge.system.precision import convolutions
from i2i_forge_benchmarks.rehearsal.subjects import PUBLISHED, SYNTHETIC, parts_of
from i2i_forge_benchmarks.shared import alone, out_option, publish


@click.command()
@click.option("--device", default="cuda", help="cpu tries the script itself.")
@click.option("--repeats", default=100, show_default=True, help="Of each backward of a padding.")
@click.option("--steps", default=20, show_default=True, help="Of each measurement.")
@click.option("--recipe", "recipes", multiple=True, help="To be measured, in place of the published ones.")
@click.option("--estimate", is_flag=True, hidden=True)
@out_option
def main(
    device: str, repeats: int, steps: int, recipes: tuple[str, ...], estimate: bool, out: Path | None
) -> None:  # fmt: skip
    warnings.filterwarnings("ignore")
    if estimate:
        click.echo(json.dumps({name: sum(parts_of(name, [])["step"].kernels.values()) for name in recipes}))
        return
    if device != "cpu" and not torch.cuda.is_available():
        raise click.ClickException(
            f"there is no {device} here; run it where `python -m torch.utils.collect_env` shows a GPU"
        )
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "Every method takes two steps": lambda: steps_of(device, recipes or SYNTHETIC),
        "Padding's backward repeats": lambda: pads(device, repeats),
        "Runs repeat": lambda: runs(device, recipes or SYNTHETIC),
        "Kernels of a step": lambda: kernels(device, recipes or PUBLISHED),
        "Images per second": lambda: speed(device, recipes or PUBLISHED[:2], steps),
        "Metrics after TF32": lambda: after_tf32(device),
    }
    lines: list[str] = []
    for title, part in parts.items():
        lines += [f"## {title}", ""]
        try:
            with convolutions(deterministic=False):  # as training has it by default
                for line in part():
                    lines.append(f"- {line}")
                    click.echo(f"{title}: {line}", err=True)
        except Exception as error:
            lines.append(f"- **failed**: {type(error).__name__}: {error}".splitlines()[0])
            click.echo(f"{title}: {lines[-1]}", err=True)
        lines.append("")
    publish("gpu_session", "A session with a GPU", lines, out, device=device)


def steps_of(device: str, recipes: tuple[str, ...] | list[str]) -> Iterator[str]:
    """The losses after two steps are finite: `step` says so otherwise."""
    for name in recipes:
        recipe = i2i_forge.load_recipe(name)
        trainer = i2i_forge.build_trainer(recipe, device)
        report = [trainer.step(images_of(recipe, device), step) for step in range(2)][-1]
        yield f"{name}: {', '.join(f'{term} {loss:.3f}' for term, loss in list(report.items())[:3])}"


def pads(device: str, repeats: int) -> Iterator[str]:
    """Whether the gradient is the same to the bit, again and again, and that of a processor; torch's own beside it."""
    for mode, size in (("reflect", 3), ("replicate", 1), ("replicate", 3), ("zero", 3)):
        for dtype in (torch.float32, torch.bfloat16):
            for layout in (torch.contiguous_format, torch.channels_last):
                x = torch.randn(2, 64, 64, 64, device=device, dtype=dtype).to(memory_format=layout).requires_grad_()
                weights = torch.randn(2, 64, 64 + 2 * size, 64 + 2 * size, device=device, dtype=dtype)
                ours = Pad(size, mode)
                theirs = partial(F.pad, pad=[size] * 4, mode="constant" if mode == "zero" else mode)
                same, same_of_torch = (_alike(way, x, weights, repeats) for way in (ours, theirs))
                off = _gap(ours, x, weights)
                yield (f"{mode} {size}, {dtype}, {layout}: ours {same} of {repeats} alike, torch's {same_of_torch}; "
                       f"ours is off a processor's fp64 by {off:.0e}")  # fmt: skip


def _gradient(way: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor) -> Tensor:
    return torch.autograd.grad((way(x) * weights).sum(), x)[0]


def _alike(way: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor, repeats: int) -> int:
    """How many of the gradients are the first one's bits."""
    first = _gradient(way, x, weights)
    return sum(torch.equal(first, _gradient(way, x, weights)) for _ in range(repeats))


def _gap(way: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor) -> float:
    """The largest difference of the gradient from that of a processor in fp64."""
    exactly = _gradient(way, x.detach().cpu().double().requires_grad_(), weights.cpu().double())
    return float((_gradient(way, x, weights).cpu() - exactly).abs().max())


def runs(device: str, recipes: tuple[str, ...] | list[str]) -> Iterator[str]:
    """Whether two runs of three steps, and two that were resumed after the first step, end in the same state."""
    for name in recipes:
        said = []
        for deterministic in (True, False):
            with TemporaryDirectory() as folder:
                ends = [
                    _end(Path(folder) / str(number), name, device, deterministic, stops)
                    for number, stops in enumerate(((3,), (3,), (1, 3), (1, 3)))
                ]
            alike = "the same" if len(set(ends)) == 1 else " ".join(end[:8] for end in ends)
            said.append(f"{'deterministic' if deterministic else 'not'}: {alike}")
        yield f"{name}: {', '.join(said)}"


def _end(folder: Path, name: str, device: str, deterministic: bool, stops: tuple[int, ...]) -> str:
    """The SHA-256 of all state of a run that was stopped and resumed after these steps."""
    for steps in stops:
        changes = [f"steps={steps}", f"run.deterministic={str(deterministic).lower()}", "data.workers=0"]
        run = Run(i2i_forge.load_recipe(name, set=changes), load_plugins(), folder, device=device)
        run.train()
    return digest(run.trainer)


def kernels(device: str, recipes: tuple[str, ...] | list[str]) -> Iterator[str]:
    """Kernels, copies and fills that the profiler sees in a step; then the rehearsal's estimates, which no GPU sees."""
    for name in recipes:
        recipe = i2i_forge.load_recipe(name)
        trainer, batch = i2i_forge.build_trainer(recipe, device), images_of(recipe, device)
        for step in range(2):
            trainer.step(batch, step)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA][: 1 + (device != "cpu")]) as seen:
            trainer.step(batch, 2)
        on_device = [event for event in seen.events() or () if event.device_type.name == "CUDA"]
        launched = sum(not event.is_user_annotation for event in on_device)  # ranges of the engine are on it too
        yield f"{name}: {launched:,} launched"
    estimates = alone("gpu_session", "--estimate", *(f"--recipe={name}" for name in recipes), CUDA_VISIBLE_DEVICES="")
    yield from (f"{name}: {estimate:,} estimated" for name, estimate in estimates.items())


def speed(device: str, recipes: tuple[str, ...] | list[str], steps: int) -> Iterator[str]:
    """Images per second of a step and of a plain one, in turn."""
    for batch in (1, 8, 32):  # what takes the most memory comes last
        for name in recipes:
            changes = (f"data.batch={batch}",)
            ways = {"plain": build(name, PLAIN, changes, device), "fp32": build(name, "fp32", changes, device),
                    "bf16": build(name, "bf16", changes, device)}  # fmt: skip
            yield f"{name}, {batch} images in a step: " + ", ".join(
                f"{way} {batch / _seconds(step, steps, device):.1f}" for way, step in ways.items()
            )


def _seconds(step: Callable[[], object], steps: int, device: str) -> float:
    for _ in range(3):
        step()
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - began) / steps


def after_tf32(device: str) -> Iterator[str]:
    """Whether products inside `exact` are exact in a process that asked for TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    x = torch.randn(512, 512, device=device)
    with exact():
        off = float(((x @ x).double() - x.double() @ x.double()).abs().max())
    torch.set_float32_matmul_precision(before)
    yield f"a product of 512 x 512 is off by {off:.1e} at most; with TF32 that would be near 1e-1"


if __name__ == "__main__":
    main()
