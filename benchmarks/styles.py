"""Translating one image into many styles: all at once, where it is encoded once, beside one style at a time.

python -m i2i_forge_benchmarks.styles munit_edge2shoes --out benchmarks/results
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

import i2i_forge
from i2i_forge_benchmarks.machine import provenance
from i2i_forge_benchmarks.methods import counted


@click.command()
@click.argument("recipe")
@click.option("--set", "changes", multiple=True)
@click.option("--styles", default=20, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Measurements of each, in turn.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page.")
def main(recipe: str, changes: tuple[str, ...], styles: int, rounds: int, out: Path | None) -> None:
    """Measure the translator of RECIPE, with weights as they are drawn."""
    lines = [f"# {styles} styles for one image, {recipe}\n", *provenance("styles"),
             "| precision | all at once, seconds | one at a time, seconds | ratio | network calls |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for precision in ("fp32", "bf16"):
        trainer = i2i_forge.build_trainer(i2i_forge.load_recipe(recipe, set=[*changes, f"precision={precision}"]))
        size = i2i_forge.load_recipe(recipe, set=changes).data.options["size"]
        x = torch.rand(1, 3, size, size) * 2 - 1
        (latent,) = trainer.latents_of("ab")
        codes = trainer.infer(latent, {"a": x}, "ab").expand(styles, -1).contiguous()
        codes = codes + torch.randn(codes.shape, generator=torch.Generator().manual_seed(0))

        def at_once() -> torch.Tensor:
            return trainer.translate(x, "ab", **{latent: codes})  # noqa: B023

        def one_by_one() -> torch.Tensor:
            return torch.cat([trainer.translate(x, "ab", **{latent: code[None]}) for code in codes])  # noqa: B023

        torch.testing.assert_close(at_once(), one_by_one(), rtol=0, atol=1e-3 if precision == "fp32" else 0.1)
        seconds: dict[Callable[[], torch.Tensor], list[float]] = {at_once: [], one_by_one: []}
        for _ in range(rounds):
            for way, found in seconds.items():
                began = time.perf_counter()
                way()
                found.append(time.perf_counter() - began)
        ratio = statistics.median(a / b for a, b in zip(seconds[at_once], seconds[one_by_one], strict=True))
        calls = ", ".join(f"{role} {count}" for role, count in counted(trainer, at_once).items())
        mine, theirs = (statistics.median(found) for found in seconds.values())
        lines.append(f"| {precision} | {mine:.2f} | {theirs:.2f} | {ratio:.2f} | {calls} |")
    text = "\n".join(lines) + "\n"
    click.echo(text)
    if out:
        (out / f"styles-{datetime.date.today()}-cpu.md").write_text(text)


if __name__ == "__main__":
    main()
