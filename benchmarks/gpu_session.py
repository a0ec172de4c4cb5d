"""What only a GPU can show, in one command for the first hour with one, and a page of it.

    python -m i2i_forge_benchmarks.gpu_session --out benchmarks/results
    forge bench --device cuda --out benchmarks/results             # then: time and memory of each switch

In this order: do all methods take steps; does padding's backward repeat bit for bit; do runs; how many kernels a step
launches beside the rehearsal's estimate; images per second beside a plain step; metrics after TF32 was switched on. A
part that fails is on the page with its error, and the next one is tried.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import torch
from torch.profiler import ProfilerActivity, profile

import i2i_forge
from i2i_forge.errors import ResourceError
from i2i_forge.measure.batch import exact
from i2i_forge.nn import Pad
from i2i_forge.run.checkpoint import digest
from i2i_forge.study.bench_steps import PLAIN, build, images_of
from i2i_forge.system.precision import convolutions
from i2i_forge_benchmarks.rehearsal.subjects import PUBLISHED, SYNTHETIC, parts_of
from i2i_forge_benchmarks.shared import out_option, publish


@click.command()
@click.option("--device", default="cuda", help="cpu tries the script itself.")
@click.option("--repeats", default=100, show_default=True, help="Of each backward of a padding.")
@click.option("--steps", default=20, show_default=True, help="Of each measurement.")
@click.option("--recipe", "recipes", multiple=True, help="To be measured, in place of the published ones.")
@out_option
def main(device: str, repeats: int, steps: int, recipes: tuple[str, ...], out: Path | None) -> None:
    warnings.filterwarnings("ignore")
    if device != "cpu" and not torch.cuda.is_available():
        raise ResourceError(
            f"there is no {device} here", fix="run it where `python -m torch.utils.collect_env` shows a GPU"
        )
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "Every method takes two steps": lambda: steps_of(device, recipes or SYNTHETIC),
        "Padding's backward repeats": lambda: pads(device, repeats),
        "Runs repeat": lambda: runs(device, recipes or SYNTHETIC, steps=3),
        "Kernels of a step": lambda: kernels(device, recipes or PUBLISHED),
        "Images per second": lambda: speed(device, recipes or PUBLISHED[:2], steps),
        "Metrics after TF32": lambda: after_tf32(device),
    }
    lines: list[str] = []
    for title, part in parts.items():
        lines += [f"## {title}", ""]
        try:
            for line in part():
                lines.append(f"- {line}")
        except Exception as error:
            lines.append(f"- **failed**: {type(error).__name__}: {error}".splitlines()[0])
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
    """Whether the gradient is the same to the bit, again and again; of torch's own, for comparison."""
    for mode in ("reflect", "replicate"):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(2, 64, 64, 64, device=device, dtype=dtype, requires_grad=True)
            weights = torch.randn(2, 64, 70, 70, device=device, dtype=dtype)
            ways: dict[str, Callable[..., torch.Tensor]] = {
                "ours": Pad(3, mode),
                "torch's": lambda x, mode=mode: torch.nn.functional.pad(x, [3] * 4, mode=mode),
            }
            found = {}
            for name, way in ways.items():
                gradients = [torch.autograd.grad((way(x) * weights).sum(), x)[0] for _ in range(repeats)]
                found[name] = sum(torch.equal(gradients[0], each) for each in gradients)
            yield f"{mode}, {dtype}: " + ", ".join(f"{name} {n} of {repeats} alike" for name, n in found.items())


def runs(device: str, recipes: tuple[str, ...] | list[str], steps: int) -> Iterator[str]:
    """Whether the same steps end in the same weights, with `run.deterministic` and without."""
    for name in recipes:
        recipe = i2i_forge.load_recipe(name)
        said = []
        for deterministic in (True, False):
            ends = set()
            for _ in range(2):
                torch.manual_seed(0)
                batch, trainer = images_of(recipe, device), i2i_forge.build_trainer(recipe, device)
                with convolutions(deterministic):
                    for step in range(steps):
                        trainer.step(batch, step)
                ends.add(digest(trainer))
            said.append(
                f"{'deterministic' if deterministic else 'not'}: {'the same' if len(ends) == 1 else 'different'}"
            )
        yield f"{name}: {', '.join(said)}"


def kernels(device: str, recipes: tuple[str, ...] | list[str]) -> Iterator[str]:
    """Kernels that the profiler sees in a step, beside the rehearsal's estimate."""
    for name in recipes:
        recipe = i2i_forge.load_recipe(name)
        trainer, batch = i2i_forge.build_trainer(recipe, device), images_of(recipe, device)
        for step in range(2):
            trainer.step(batch, step)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA][: 1 + (device != "cpu")]) as seen:
            trainer.step(batch, 2)
        launched = sum(event.device_type.name == "CUDA" for event in seen.events() or ())
        estimate = sum(parts_of(name, [])["step"].kernels.values())
        yield f"{name}: {launched:,}, estimated {estimate:,}"


def speed(device: str, recipes: tuple[str, ...] | list[str], steps: int) -> Iterator[str]:
    """Images per second of a step and of a plain one, in turn."""
    for name in recipes:
        for batch in (1, 8, 32):
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
