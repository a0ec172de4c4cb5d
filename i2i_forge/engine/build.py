"""Recipe and catalog -> Trainer."""

from __future__ import annotations

import inspect
import math
from functools import partial
from typing import Any

import torch
from torch import nn

from i2i_forge.catalog.construct import call, refuse_what_cannot_be_built
from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains
from i2i_forge.engine.channels import channels_of
from i2i_forge.engine.ema import Ema
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.engine.image_sizes import size_problem
from i2i_forge.engine.method import Networks, named
from i2i_forge.engine.networks import compiled, recompute
from i2i_forge.engine.optimizers import OptimizerEntry, RoleOptimizer
from i2i_forge.engine.phases import OF_A_LOSS, BoundTerm, PhasePlan
from i2i_forge.engine.trace import Trace, refuse_stale_reuse, trace, with_takes
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import RecipeError, suggest
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.terms import Term, parse_weight
from i2i_forge.system import distributed
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import seed_of


@float32_by_default()
def build_trainer(
    recipe: Recipe, catalog: Catalog, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    traced: Trace | None = None,
) -> Trainer:  # fmt: skip
    """See `i2i_forge.build_trainer`. `traced` is the recipe's trace, if it is known."""
    method: type[Trainer] = catalog.trainers.get(recipe.trainer)
    device, domains = torch.device(device), Domains.of(recipe, catalog)
    for _, target in method.routes.values():
        if any(said is not None and said.over == "case" for said in domains[target].percentiles()):
            raise RecipeError(
                f"domains.{target}.range: {target} is translated into; its range must hold for all cases",
                fix="say over: training, or two numbers",
            )
    networks = _networks(recipe, method, catalog, device, dtype, domains)
    for role in recipe.run.recompute:
        for name, network in named(role, networks[role]):
            recompute(network, f"run.recompute: {name}")
    for role in recipe.run.compile if device.type != "meta" else ():
        for network in networks[role].values():
            compiled(network)
    phases = _phases(recipe, method, catalog)
    for phase in phases:
        for term in phase.terms:
            if isinstance(loss := getattr(term.loss, "func", term.loss), nn.Module):
                loss.to(device, dtype).requires_grad_(False)
    if any(phase.reuse for phase in phases) and device.type != "meta":
        traced = traced or trace_recipe(recipe, catalog)
        refuse_stale_reuse(phases, traced)
        phases = with_takes(phases, traced)
    return method(
        networks, phases, _optimizers(recipe, networks), _states(recipe, method, device),
        seed=recipe.seed, device=device, dtype=dtype, precision=recipe.precision,
        ema=_ema(recipe, networks), parts=_parts(recipe), noise=recipe.noise, spaces=domains,
    )  # fmt: skip


def _ema(recipe: Recipe, networks: Networks) -> Ema | None:
    if not recipe.ema:
        return None
    averaged = (pair for role in recipe.ema.roles for pair in named(role, networks[role]))
    parameters = {f"{key}.{name}": p for key, network in averaged for name, p in network.named_parameters()}
    return Ema(parameters, half_life=recipe.ema.half_life, rampup=recipe.ema.rampup, images=recipe.data.batch)


def _parts(recipe: Recipe) -> int:
    """In how many parts each rank takes its images of a step, if it is to take steps."""
    if not any(phase.minimize for phase in recipe.phases.values()):
        return 1
    ranks = distributed.world_size()
    for name, spec in recipe.data.streams.items():
        if spec.batch % ranks:
            key = "data.batch" if name == "main" else f"data.{name}.batch"
            raise RecipeError(
                f"{key}: {spec.batch} image{'s' * (spec.batch > 1)} cannot be shared equally by {ranks} ranks",
                fix=f"it counts the images of all ranks together: --set {key}={math.ceil(spec.batch / ranks) * ranks}",
            )
    own = recipe.data.batch // ranks
    parts = math.ceil(own / (recipe.run.micro_batch or own))
    for name, spec in recipe.data.streams.items():
        if spec.batch // ranks % parts:
            of = "" if name == "main" else f" of stream '{name}'"
            raise RecipeError(
                f"run.micro_batch: the {spec.batch // ranks} images{of} of a step and rank are not {parts} equal parts",
                fix="choose a number that divides them",
            )
    return parts


@float32_by_default()
def trace_recipe(recipe: Recipe, catalog: Catalog) -> Trace:
    """One step of the recipe on tensors without data: shapes, dependencies and memory, nothing computed.

    Raises:
        RecipeError: a network cannot take the images' size.
    """
    trainer = build_trainer(recipe, catalog, "meta")
    shares = distributed.world_size() * trainer.parts

    def traced(side: int | None = None) -> Trace:
        batches = {
            name: _shapes(side or spec.options.get("size", 256), spec.batch // shares, trainer)
            for name, spec in recipe.data.streams.items()
        }
        return trace(trainer, {**batches.pop("main"), **batches})

    try:
        return traced()
    except Exception as error:
        if problem := size_problem(error, dict(trainer.modules()), recipe.data.options.get("size", 256), traced):
            raise problem from error
        where = next((note for note in getattr(error, "__notes__", ()) if note.startswith(OF_A_LOSS)), "")
        if isinstance(error, ValueError) and where:  # so losses refuse what they are given
            raise RecipeError(f"{error}, {where}", fix="let the term compare other tensors, or --drop it") from error
        raise


def _shapes(size: int | list[int], batch: int, trainer: Trainer) -> dict[str, torch.Tensor]:
    height, width = size if isinstance(size, list) else (size, size)
    known, images = trainer.spaces, trainer.image_domains()
    shapes = {name: torch.empty(batch, len(known[name]), height, width, device="meta") for name in images}
    for name in known.keys() - shapes.keys():
        dtype = torch.uint8 if known[name].kind == "labels" else torch.float32
        shapes[name] = torch.empty(batch, known[name].count, height, width, device="meta", dtype=dtype)
    return shapes


def _networks(
    recipe: Recipe, method: type[Trainer], catalog: Catalog, device: torch.device, dtype: torch.dtype, spaces: Domains
) -> Networks:
    networks: Networks = {}
    domains = method.image_domains()
    for role, kind in method.roles.items():
        if role not in recipe.networks and role in method.optional_roles:
            continue
        if role not in recipe.networks:
            raise RecipeError(f"networks.{role}: {recipe.trainer} needs this role", fix=suggest(role, recipe.networks))
        networks[role] = {}
        for domain, spec in recipe.networks[role].built().items():
            if domain not in {*domains, "shared"}:
                raise RecipeError(f"networks.{role}.per: there is no domain '{domain}'", fix=suggest(domain, domains))
            component = getattr(catalog, kind).get(spec.use)
            options = spec.options | channels_of(role, domain, component, spec.options, method, spaces)
            make = partial(call, component, options, f"networks.{role}")
            refuse_what_cannot_be_built(f"networks.{role}", make)
            drawn_on = device if device.type == "meta" else torch.device("cpu")
            with seeded(seed_of(recipe.seed, "init", role, domain), torch.device("cpu")), drawn_on:
                networks[role][domain] = make()
            networks[role][domain].to(device, dtype)
            if recipe.run.channels_last:
                networks[role][domain].to(memory_format=torch.channels_last)
    return networks


def _states(recipe: Recipe, method: type[Trainer], device: torch.device) -> Networks:
    for name in recipe.state:
        if name not in method.state:
            raise RecipeError(f"state.{name}: {recipe.trainer} has no such state", fix=suggest(name, method.state))
    return {
        name: {route: call(make, recipe.state.get(name, {}), f"state.{name}").to(device) for route in method.routes}
        for name, make in method.state.items()
    }


def _phases(recipe: Recipe, method: type[Trainer], catalog: Catalog) -> list[PhasePlan]:
    for name, phase in recipe.phases.items():
        for tensor, owner in phase.reuse.items():
            if further := recipe.phases[owner].reuse.get(tensor):
                raise RecipeError(
                    f"phases.{name}.reuse.{tensor}: '{owner}' does not compute it, it takes it from '{further}'",
                    fix="name the phase that computes it",
                )
    losses: dict[str, Any] = {}  # one object for all terms that say the same, so that weights are loaded once
    terms = {name: tuple(_terms(recipe, name, method, catalog, losses)) for name in recipe.phases}
    return [
        PhasePlan(name, tuple(phase.trains), terms[name], phase.every, phase.stream, phase.reuse)
        for name, phase in recipe.phases.items()
    ]


def _terms(
    recipe: Recipe, phase: str, method: type[Trainer], catalog: Catalog, losses: dict[str, Any]
) -> list[BoundTerm]:
    bound = []
    for name, lines in recipe.terms(phase).items():
        where = f"phases.{phase}.minimize.{name}"
        for route in method.routes:
            term = lines.get(route, lines.get("*"))
            if term is None or term.weight.is_zero:
                continue
            _check_arguments(term, method, route, where, recipe.further_images())
            key = f"{term.loss}{sorted(term.options.items())}"
            if key not in losses:
                losses[key] = _loss(term, catalog, where)
            bound.append(BoundTerm(name, route, term.weight, losses[key], term.arguments))
        for route in set(lines) - {"*", *method.routes}:
            raise RecipeError(f"{where}: there is no route '{route}'", fix=suggest(route, method.routes))
    return bound


def _check_arguments(
    term: Term, method: type[Trainer], route: str, where: str, further: frozenset[str]
) -> None:  # fmt: skip
    known = method.pass_along(route).tensors()
    for name in term.arguments:
        if name not in known and name not in method.roles and name not in further:
            on_route = "" if isinstance(method.forward_pass, type) else f" on route '{route}'"
            raise RecipeError(f"{where}: {method.__name__} has no tensor '{name}'{on_route}", fix=suggest(name, known))


def _loss(term: Term, catalog: Catalog, where: str) -> Any:
    """A loss class is built with the term's options; a function takes them at every call."""
    component = catalog.losses.get(term.loss)
    if inspect.isclass(component):
        return call(component, term.options, where)
    known = inspect.signature(component).parameters
    for option in term.options:
        if option not in known:
            raise RecipeError(f"{where}: {term.loss} has no option '{option}'", fix=suggest(option, known))
    return partial(component, **term.options) if term.options else component


def _optimizers(recipe: Recipe, networks: Networks) -> list[OptimizerEntry]:
    named = {role for entry in recipe.optimizers.values() for role in entry.roles or ()}
    trained = {role for phase in recipe.phases.values() for role in phase.trains}
    entries = []
    for name, entry in recipe.optimizers.items():
        roles = entry.roles if entry.roles is not None else [role for role in networks if role not in named]
        parameters = {
            role: {f"{domain}.{key}": p for domain, net in networks[role].items() for key, p in net.named_parameters()}
            for role in roles
            if role in trained
        }
        schedule = parse_weight(entry.schedule)
        make = partial(RoleOptimizer, rule=entry.use, lr=entry.lr, schedule=schedule, options=entry.options)
        entries.append(OptimizerEntry(name, {role: make(of) for role, of in parameters.items()}, entry.clip))
    return entries
