"""Sample grids while training: the same inputs and the same styles every time, so that progress can be seen.

The inputs are spread over the test images; beside translations of pairs stands the truth. Written to
samples/ROUTE-step-00000200.png at step 0, every `run.sample_every` steps, and at the end. The checkpoint of a step
comes first; a run that ended between the two draws its samples when it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from i2i_forge import Translator, hookimpl
from i2i_forge.data import save_png, sheet, shown
from i2i_forge.errors import RecipeError
from i2i_forge.system import generator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from i2i_forge import RunView


@hookimpl
def run_started(run: RunView, step: int) -> None:
    if step == 0 or (_is_due(run, step) and not all(file.exists() for file in _files(run, step).values())):
        _write(run, step)


@hookimpl
def step_finished(run: RunView, step: int, report: Mapping[str, float]) -> None:
    if _is_due(run, step):
        _write(run, step)


def _is_due(run: RunView, step: int) -> bool:
    return step % run.recipe.run.sample_every == 0 or step == run.recipe.steps


def _files(run: RunView, step: int) -> dict[str, Path]:
    return {route: run.folder.samples / f"{route}-step-{step:08d}.png" for route in run.trainer.routes}


def _write(run: RunView, step: int) -> None:
    images, files = run.test_batch(run.recipe.run.sample_inputs), _files(run, step)
    further = {name: x for name, x in images.items() if name not in run.trainer.image_domains()}
    for route, (source, target) in run.trainer.routes.items():
        columns = _columns(run, images[source], images.get(target), route, further)
        columns = shown(columns, *run.trainer.ends(route))
        rows = list(zip(*columns.values(), strict=True))
        save_png(sheet(rows, list(columns)), files[route])
    run.tell("samples_written", step=step, files=files)


def _columns(
    run: RunView, x: torch.Tensor, references: torch.Tensor | None, route: str,
    further: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, list[torch.Tensor | None]]:  # fmt: skip
    """Input, reconstruction, random styles, a reference and its style, as far as the method has them.

    Of pairs the reference is the truth, which every method has. `further` images, such as masks, are for passes that
    read them.
    """
    trainer = run.trainer
    truth = {"truth": list(references)} if references is not None and len(run.test_sources) == 1 else {}
    source, target = trainer.routes[route]
    columns: dict[str, list[torch.Tensor | None]] = {"input": list(x)}
    both = dict(further or {}) | ({source: x} if references is None else {source: x, target: references})
    both, cut = _fitted(run, both, source, route)
    x, beside = both[source], {name: both[name] for name in further or {}}
    if "reconstruction" in trainer.pass_along(route).tensors():
        columns |= _if_it_can("reconstruction", lambda: cut(trainer.infer("reconstruction", both, route)))
    latents = trainer.latents_of(route)
    if not latents:
        return columns | {"translation": list(cut(trainer.translate(x, route, beside=beside)))} | truth
    latent, encodes = next(iter(latents.items()))
    for number in range(run.recipe.run.sample_styles):
        draws = generator(run.recipe.seed, "samples", route, number)
        first = {name: images[:1] for name, images in {**beside, source: x}.items()}
        one = trainer.infer(latent, first, route, generator=draws)
        codes = {latent: one.expand(len(x), *one.shape[1:])}
        columns[f"style {number}"] = list(cut(trainer.translate(x, route, beside=beside, **codes)))
    columns |= truth
    if references is not None and encodes is not None:
        columns |= _if_it_can(
            "its style",
            lambda: cut(
                trainer.translate(x, route, beside=beside, **{latent: trainer.encode(both[target], encodes, target)})
            ),
            {**truth} or {"reference": list(references)},
        )
    return columns


def _fitted(
    run: RunView, images: dict[str, torch.Tensor], source: str, route: str
) -> tuple[dict[str, torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    """Images in sides that the networks take, and what cuts the size of the source out of what becomes of them.

    What has the size of training fits. Test images that keep their grid may not.
    """
    size = run.recipe.data.options.get("size")
    if all(list(x.shape[2:]) == (size if isinstance(size, list) else [size, size]) for x in images.values()):
        return images, lambda y: y
    translator = Translator(run.trainer, run.recipe, 0)
    found = {name: translator.fitted({name: x}, route) for name, x in images.items()}
    return {name: fitting[name] for name, (fitting, _) in found.items()}, found[source][1]


def _if_it_can(
    name: str, compute: Callable[[], torch.Tensor], before: dict[str, list[torch.Tensor | None]] | None = None
) -> dict[str, list[torch.Tensor | None]]:
    """A column, after `before`; neither when it needs an optional role that the recipe leaves out."""
    try:
        return {**(before or {}), name: list(compute())}
    except RecipeError:
        return {}
