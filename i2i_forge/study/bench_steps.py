"""The ways to take a step that `forge bench` measures in turn: the engine with its switches, and a plain step.

Plain steps come from the packages that know a method, through the entry-point group `i2i_forge.plain_steps`: an entry
maps names of recipes to a `PlainStep`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, Protocol

import torch

from i2i_forge.engine.api import build_trainer, load_recipe
from i2i_forge.errors import PluginError, RecipeError
from i2i_forge.recipe.reading import Recipe

Step = Callable[[Mapping[str, Any]], object]  # of a batch: domain -> images

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


class PlainStep(Protocol):
    """The step of a recipe, written without the engine.

    Attributes:
        own: device -> the step on networks that have nothing of i2i_forge; None where there are none.
    """

    own: Callable[[str], Step] | None

    def on(self, networks: Mapping[str, Mapping[str, Any]]) -> Step:
        """The step on a trainer's networks, by role and domain, to be taken again and again."""


@functools.cache
def plain_steps() -> Mapping[str, PlainStep]:
    """Recipe -> its plain step. Raises PluginError when those of a package cannot be imported."""
    found: dict[str, PlainStep] = {}
    for point in metadata.entry_points(group="i2i_forge.plain_steps"):
        try:
            found |= point.load()
        except Exception as error:
            raise PluginError(
                f"the plain steps '{point.name}' ({point.value}) cannot be imported: {type(error).__name__}: {error}",
                fix=f"mend or uninstall {point.dist.name if point.dist else 'their package'}",
            ) from error
    return found


def images_of(recipe: Recipe, device: str = "cpu") -> dict[str, Any]:
    """A batch of noise in the recipe's sizes, for `Trainer.step`."""
    streams = {}
    for name, spec in recipe.data.streams.items():
        size = spec.options.get("size", 256)
        height, width = size if isinstance(size, list) else (size, size)
        streams[name] = {domain: (torch.rand(spec.batch, 3, height, width) * 2 - 1).to(device) for domain in ("a", "b")}
    return {**streams.pop("main"), **streams}


def compared_with(recipe: Recipe) -> str | None:
    """The recipe whose plain step runs on the networks of this one: of the same method, roles and domains."""
    for name in plain_steps():
        published = load_recipe(name)
        if published.trainer == recipe.trainer and _domains(published) == _domains(recipe):
            return name
    return None


def _domains(recipe: Recipe) -> dict[str, set[str]]:
    return {role: set(spec.built()) for role, spec in recipe.networks.items()}


def can_recompute(recipe: str, role: str, changes: tuple[str, ...]) -> bool:
    """Whether the networks of a role can be computed twice: those with running statistics cannot."""
    try:
        build_trainer(load_recipe(recipe, set=[*changes, f"run.recompute=[{role}]"]), "meta")
    except RecipeError:
        return False
    return True


def build(recipe: str, name: str, changes: tuple[str, ...], device: str) -> Callable[[], Any]:
    """The step of a row, ready to be taken again and again."""
    checked = load_recipe(recipe, set=changes)
    images = images_of(checked, device)
    if name == PLAIN:
        published = plain_steps()[compared_with(checked) or recipe]
        alone = recipe in plain_steps() and published.own
        plain = alone(device) if alone else published.on(build_trainer(checked, device).networks)
        return lambda: plain(images)
    roles = list(checked.networks)
    own = (VARIANTS | ON_CUDA)[name]
    if "run.recompute=ALL" in own:  # networks with running statistics cannot be computed twice
        roles = [role for role in roles if can_recompute(recipe, role, changes)]
    own = tuple(change.replace("ALL", f"[{', '.join(roles)}]") for change in own)
    trainer = build_trainer(load_recipe(recipe, set=[*changes, *own]), device)
    taken = iter(range(10**9))

    def step_of_ours() -> None:
        before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, "without TF32" not in name
        trainer.step(images, next(taken))
        torch.backends.cudnn.allow_tf32 = before

    return step_of_ours
