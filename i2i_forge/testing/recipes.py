"""The recipe that a trainer is tried with: found, and made small."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from i2i_forge.catalog.loading import Plugin, read_vocabulary
from i2i_forge.catalog.obstacles import HOST
from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains
from i2i_forge.engine.build import build_trainer
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.names import is_recipe, shipped_recipes
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.recipe.schema import Network
from i2i_forge.testing.inputs import images
from i2i_forge.testing.subject import SMALL, Subject

SIDE = 64


@dataclass(frozen=True)
class Method:
    """A trainer with its recipe, which is looked for once."""

    subject: Subject

    @cached_property
    def recipe(self) -> Recipe:
        """Raises RecipeError when there is none, or when it has mistakes."""
        source = self.subject.example.recipe or find_recipe_of(self.subject.name, self.subject.plugin)
        return small_recipe(source, self.subject)

    def trainer(self, recipe: Recipe | None = None) -> Trainer:
        """Freshly initialised, the same every time."""
        return build_trainer(recipe or self.recipe, self.subject.host.catalog)

    def batch(self, step: int) -> dict[str, Any]:
        """Images for a step: every stream, every domain, and further images, masks of ones and zeros."""
        domains = sorted({domain for route in self.subject.component.routes.values() for domain in route})
        spaces = Domains.of(self.recipe, self.subject.host.catalog)
        made: dict[str, Any] = {}
        for number, (name, spec) in enumerate(self.recipe.data.streams.items()):
            stream = {
                domain: images(spec.batch, SIDE, SIDE, 1000 * step + 10 * number + place, len(spaces[domain]))
                for place, domain in enumerate(domains)
            }
            for further in spaces.keys() - stream.keys():
                mask = images(spec.batch, SIDE, SIDE, step, spaces[further].count) > 0
                stream[further] = mask.to(torch.uint8 if spaces[further].kind == "labels" else torch.float32)
            made |= stream if name == "main" else {name: stream}
        return made

    def steps(
        self, count: int, trainer: Trainer | None = None, first: int = 0
    ) -> tuple[Trainer, list[dict[str, float]]]:
        """The trainer after some steps, and its reports."""
        trainer = trainer or self.trainer()
        return trainer, [trainer.step(self.batch(step), step) for step in range(first, first + count)]


def small_recipe(source: str | Path, subject: Subject) -> Recipe:
    """A recipe with the changes that a component's example names, and as small as its networks' options allow."""
    example = subject.example
    known = replace(read_vocabulary(subject.host.plugins), complete=False)  # the component may have no plugin
    recipe = read_recipe(source, set=example.set, drop=example.drop, vocabulary=known)
    changes = [*example.set, *_smaller(recipe, subject.host.catalog)]
    return read_recipe(source, set=changes, drop=example.drop, vocabulary=known)


def recipe_files(plugin: Plugin) -> list[Path]:
    """The recipes that come with a plugin: beside it, in `recipes` beside it, or in its project's `recipes`."""
    if plugin.distribution == HOST:
        return list(shipped_recipes().values())
    if plugin.file is None:
        return []
    here = plugin.file.resolve().parent
    project = [f for f in list(here.parents)[:3] if (f / "pyproject.toml").is_file()] if plugin.version else []
    folders = [here, here / "recipes", *(f / "recipes" for f in project[:1])]
    return [file for folder in folders for file in sorted(folder.glob("*.yaml")) if is_recipe(file)]


def find_recipe_of(trainer: str, plugin: Plugin) -> Path:
    """A recipe of a trainer among its plugin's; one that needs no files if there is one. Raises RecipeError."""
    found = []
    for file in recipe_files(plugin):
        try:
            recipe = read_recipe(file)
        except RecipeError:
            continue  # the plugin's check `recipes` says so
        if recipe.trainer.rpartition(":")[2] == trainer:
            found.append(("root" in recipe.data.options, len(file.name), file))
    if not found:
        raise RecipeError(
            f"there is no recipe of '{trainer}' to try it with",
            fix=f'put one beside the plugin ({trainer}.yaml), or name it: CHECKS = {{"{trainer}": {{"recipe": FILE}}}}',
        )
    return min(found)[-1]


def _smaller(recipe: Recipe, catalog: Catalog) -> Iterator[str]:
    """The changes that make a recipe small: narrow networks, two images of 64 pixels, fp32."""
    roles: Mapping[str, str] = catalog.trainers.get(recipe.trainer).roles
    for role, network in recipe.networks.items():
        yield from dict.fromkeys(_narrower(role, network, getattr(catalog, roles[role]) if role in roles else None))
    for name, stream in recipe.data.streams.items():
        at = "data" if name == "main" else f"data.{name}"
        yield f"{at}.batch=2"
        if "size" in stream.options:
            yield f"{at}.size={SIDE}"
    yield "precision=fp32"


def _narrower(role: str, network: Network, registry: Any) -> Iterator[str]:
    own = network.per if isinstance(network.per, dict) else {}
    for domain, spec in network.built().items():
        known = inspect.signature(registry.get(spec.use)).parameters if registry and spec.use in registry else {}
        for key in ("width", "blocks", "mlp_dim", "hidden"):
            given = spec.options.get(key, getattr(known.get(key), "default", None))
            if isinstance(given, int) and given > SMALL[key]:
                place = f"per.{domain}." if key in own.get(domain, {}) else ""
                yield f"networks.{role}.{place}{key}={SMALL[key]}"


def equal_state(one: Trainer, other: Trainer) -> bool:
    """Whether two trainers hold the same weights, states and optimizers' memory, bit for bit."""
    return all(
        ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
        for ours, theirs in (
            (one.state_dict(), other.state_dict()),
            (one.optimizer_state(), other.optimizer_state()),
        )
    )
