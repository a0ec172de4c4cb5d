"""Sample grids while training: the same inputs and the same styles every time, so that progress can be seen.

Written to samples/ROUTE-step-00000200.png at step 0, every `run.sample_every` steps, and at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from i2i_forge.hookspecs import hookimpl
from i2i_forge.images import save_png, sheet
from i2i_forge.seeding import generator

if TYPE_CHECKING:
    from i2i_forge.run import Run


@hookimpl
def run_started(run, step):
    if step == 0:
        _write(run, step)


@hookimpl
def step_finished(run, step, report):
    if step % run.recipe.run.sample_every == 0 or step == run.recipe.steps:
        _write(run, step)


def _write(run: Run, step: int) -> None:
    images = run.test_batch(run.recipe.run.sample_inputs)
    for route, (source, target) in run.trainer.routes.items():
        columns = _columns(run, images[source], images.get(target), route)
        rows = list(zip(*columns.values(), strict=True))
        save_png(sheet(rows, list(columns)), run.folder.samples / f"{route}-step-{step:08d}.png")


def _columns(
    run: Run, x: torch.Tensor, references: torch.Tensor | None, route: str
) -> dict[str, list[torch.Tensor | None]]:
    """Input, reconstruction, random styles, a reference and its style, as far as the method has them."""
    trainer = run.trainer
    source, target = trainer.routes[route]
    columns: dict[str, list[torch.Tensor | None]] = {"input": list(x)}
    if "reconstruction" in trainer.forward_pass.tensors():
        columns["reconstruction"] = list(trainer.infer("reconstruction", {source: x}, route))
    if not trainer.latents:
        return columns | {"translation": list(trainer.translate(x, route))}
    latent, encodes = next(iter(trainer.latents.items()))
    for number in range(run.recipe.run.sample_styles):
        draws = generator(run.recipe.seed, "samples", route, number)
        one = trainer.infer(latent, {source: x[:1]}, route, generator=draws)
        columns[f"style {number}"] = list(trainer.translate(x, route, **{latent: one.expand(len(x), -1)}))
    if references is not None:
        codes = trainer.encode(references, encodes, target)
        columns["reference"] = list(references)
        columns["its style"] = list(trainer.translate(x, route, **{latent: codes}))
    return columns
