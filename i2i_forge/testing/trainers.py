"""Promises of methods, tried with a small recipe."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from i2i_forge.catalog.registry import NETWORKS
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import RecipeError
from i2i_forge.run import checkpoint
from i2i_forge.system.seeding import generator
from i2i_forge.testing.inputs import images, leaves, shapes
from i2i_forge.testing.recipes import Method, equal_state
from i2i_forge.testing.subject import described
from i2i_forge.translate.translator import Translator

ODD = (61, 97)  # height and width that no stride divides


def words(method: Method) -> Iterator[str]:
    """Its routes, roles, tensors and latents fit together."""
    trainer = method.subject.component
    if not (isinstance(trainer, type) and issubclass(trainer, Trainer)):
        yield "it is no subclass of i2i_forge.Trainer"
        return
    if missing := [name for name in ("forward_pass", "routes", "roles") if not hasattr(trainer, name)]:
        yield f"it has no {', '.join(missing)}"
        return
    known = {name for route in trainer.routes for name in trainer.pass_along(route).tensors()}
    for route, domains in trainer.routes.items():
        if len(domains) != 2:
            yield f"route '{route}' goes through {len(domains)} domains instead of from one to another"
        if "translation" not in trainer.pass_along(route).tensors():
            yield f"route '{route}' has no tensor 'translation', which is what `forge translate` asks for"
    for role, kind in trainer.roles.items():
        if kind not in NETWORKS:
            yield f"role '{role}' is of the kind '{kind}', which is none of {', '.join(NETWORKS)}"
    for role in set(trainer.optional_roles) - set(trainer.roles):
        yield f"the optional role '{role}' is none of its roles"
    for name in [name for pair in trainer.latents.items() for name in pair if name and name not in known]:
        yield f"latents name '{name}', which is none of its tensors"


def runs(method: Method) -> Iterator[str]:
    """A recipe of it is read, built and traced without data, as `forge check` does."""
    try:
        method.trainer()
        trace_recipe(method.recipe, method.subject.host.catalog)
    except Exception as error:
        yield described(error)


def learns(method: Method) -> Iterator[str]:
    """Two steps give finite losses, and every phase changes all that it trains."""
    before = {name: value.clone() for name, value in method.trainer().state_dict().items()}
    trainer, reports = method.steps(2)
    for name, loss in reports[-1].items():
        if not math.isfinite(loss):
            yield f"the loss {name} is {loss} at the second step"
    for role in sorted({role for phase in trainer.phases if phase.terms for role in phase.trains}):
        for domain, network in trainer.networks[role].items():
            key = role if domain == "shared" else f"{role}.{domain}"
            names = [f"{key}.{name}" for name, p in network.named_parameters() if p.requires_grad]
            if names and all(torch.equal(before[name], trainer.state_dict()[name]) for name in names):
                yield f"two steps do not change '{key}' at all: no term's gradient reaches it"


def deterministic(method: Method) -> Iterator[str]:
    """The same steps give the same weights, bit for bit."""
    (one, _), (other, _) = method.steps(2), method.steps(2)
    if not equal_state(one, other):
        yield "the same two steps twice give different weights: draw with self.noise, or in layers, and nowhere else"


def resumes(method: Method) -> Iterator[str]:
    """A run that is stopped and resumed gives the same weights, bit for bit."""
    straight, _ = method.steps(2)
    stopped, _ = method.steps(1)
    with tempfile.TemporaryDirectory() as folder:
        resumed = method.trainer()
        checkpoint.restore(checkpoint.read(checkpoint.save(Path(folder), 1, stopped, {}, keep=1)), resumed)
    method.steps(1, resumed, first=1)
    if not equal_state(straight, resumed):
        yield "stopped after a step and resumed, it learns something else: what it remembers must be in `state`"


def terms_are_apart(method: Method) -> Iterator[str]:
    """Leaving a term out changes no other loss of its phase at the first step."""
    _, (full, *_) = method.steps(1)
    for phase, plan in method.recipe.phases.items():
        if len(plan.minimize) < 2:
            continue
        dropped = next(iter(plan.minimize))
        kept = {name: term for name, term in plan.minimize.items() if name != dropped}
        phases = {**method.recipe.phases, phase: plan.model_copy(update={"minimize": kept})}
        _, (found, *_) = method.steps(1, method.trainer(method.recipe.model_copy(update={"phases": phases})))
        for name, loss in found.items():
            if name.startswith(f"{phase}/") and loss != full[name]:
                yield f"without the term '{phase}.{dropped}', {name} is {loss:.9g} instead of {full[name]:.9g}"


def tensors(method: Method) -> Iterator[str]:
    """Every tensor of every route can be computed."""
    trainer, batch = method.trainer(), method.batch(0)
    for route in trainer.routes:
        for name in trainer.pass_along(route).tensors():
            try:
                if not leaves(trainer.infer(name, batch, route)):
                    yield f"'{name}' on route '{route}' is not a tensor"
            except RecipeError as error:  # the recipe leaves a role out, or has it for one domain only
                if not error.message.startswith(tuple(f"networks.{role}:" for role in trainer.roles)):
                    yield f"'{name}' on route '{route}' cannot be computed: {described(error)}"
            except Exception as error:
                yield f"'{name}' on route '{route}' cannot be computed: {described(error)}"


def translates(method: Method) -> Iterator[str]:
    """Images of any size are translated to finite images of that size."""
    translator = Translator(method.trainer(), method.recipe, 0)
    for route in translator.trainer.routes:
        source, target = map(len, translator.trainer.ends(route))
        y = translator.translate(images(1, *ODD, channels=source), route)
        if y.shape != (1, target, *ODD) or not y.isfinite().all():
            what = f"{shapes([y])}" if y.isfinite().all() else "numbers that are not finite"
            yield f"route '{route}' makes {what} of 1x{source}x{ODD[0]}x{ODD[1]}"


def latents(method: Method) -> Iterator[str]:
    """Each latent is drawn anew from another generator, changes the translation, and is encoded in its shape."""
    trainer, batch = method.trainer(), method.batch(0)
    for route, (_, target) in trainer.routes.items():
        for drawn, encoded in trainer.latents_of(route).items():
            one, other = (trainer.infer(drawn, batch, route, generator=generator(seed)) for seed in (1, 2))
            if torch.equal(one, other):
                yield f"'{drawn}' on route '{route}' does not depend on the generator: draw it with self.noise"
            first, second = (_translation(trainer, batch, route, {drawn: code}) for code in (one, one + other))
            if torch.equal(first, second):
                yield f"the translation on route '{route}' does not depend on '{drawn}'"
            if encoded is None:
                continue
            code = trainer.encode(images(2, channels=len(trainer.spaces[target])), encoded, target)
            if code.shape[1:] != one.shape[1:]:
                yield f"'{encoded}' has the shape {shapes([code])}, '{drawn}' has {shapes([one])}"


def _translation(trainer: Trainer, batch: dict[str, Any], route: str, given: dict[str, Any]) -> torch.Tensor:
    return trainer.infer("translation", batch, route, **given)


STATIC = (words,)
CHECKS = (learns, deterministic, resumes, terms_are_apart, tensors, translates, latents)
