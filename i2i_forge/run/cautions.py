"""Warnings before a run: settings that are allowed, and are probably a mistake."""

from __future__ import annotations

import inspect
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains, build_dataset
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trace import Trace
from i2i_forge.engine.watcher import Node
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.terms import parse_weight
from i2i_forge.system.hardware import memory


def cautions(recipe: Recipe, catalog: Catalog, traced: Trace | None = None) -> list[str]:
    """The warnings, a line each.

    Args:
        recipe: a recipe that can be built.
        catalog: where its components come from.
        traced: the trace of a step, if it is known.
    """
    found = [*_without_rate(recipe)]
    if traced := traced or tried(recipe, catalog):
        found += [*_beyond_memory(recipe, traced), *_without_pairs(recipe, catalog, traced)]
        found += [*_unrepeatable(recipe, traced)]
    return found


def unread(recipe: Recipe, catalog: Catalog, batch: Mapping[str, Any] | None = None) -> list[str]:
    """A warning for each stream with images that nothing reads; without a batch, as far as data sets tell it."""
    if batch is None:
        given = _told(recipe, catalog, "domains")
    else:
        streams = {name: value for name, value in batch.items() if isinstance(value, Mapping)}
        given = {"main": batch.keys() - streams.keys(), **streams}
    used = {domain for route in catalog.trainers.get(recipe.trainer).routes.values() for domain in route}
    used |= recipe.further_images()  # masks are for terms, metrics and what is written
    found = []
    for stream, domains in given.items():
        known = domains if isinstance(domains, Iterable) else ()
        if extra := sorted(domain for domain in known if isinstance(domain, str) and domain not in used):
            found.append(
                f"{'data' if stream == 'main' else f'data.{stream}'}: images of {', '.join(extra)} are loaded and "
                f"never used: the routes of {recipe.trainer} pass {', '.join(sorted(used))} alone"
            )
    return found if found and tried(recipe, catalog) else []  # the trace had no others


def tried(recipe: Recipe, catalog: Catalog) -> Trace | None:
    """The trace of a step; a method that cannot be traced may take steps all the same."""
    with suppress(Exception):
        return trace_recipe(recipe, catalog)
    return None


def _told(recipe: Recipe, catalog: Catalog, attribute: str) -> dict[str, Any]:
    """What each stream's data set says of itself; one that cannot be built is refused where it is needed."""
    found, domains = {}, Domains.of(recipe, catalog)
    for name, spec in recipe.data.streams.items():
        with suppress(Exception):
            found[name] = getattr(build_dataset(spec.use, spec.options, domains, catalog, "data"), attribute)
    return found


def _without_rate(recipe: Recipe) -> Iterator[str]:
    """Steps at whose learning rates nothing is learnt: those after the end of a schedule."""
    trained = {role for phase in recipe.phases.values() if phase.minimize for role in phase.trains}
    named = {role for entry in recipe.optimizers.values() for role in entry.roles or ()}
    schedules = {
        name: parse_weight(entry.schedule) for name, entry in recipe.optimizers.items()
        if (trained - named if entry.roles is None else trained & set(entry.roles))
    }  # fmt: skip

    def zero(step: int) -> bool:
        return all(schedule.at(step) == 0 for schedule in schedules.values())

    if schedules and zero(recipe.steps - 1):
        first = bisect_left(range(recipe.steps), True, key=zero)  # a schedule that has ended does not begin again
        change = " and ".join(f"optimizers.{name}.schedule" for name in schedules)
        change += f", or set steps={first}" if first else ""
        yield f"every learning rate is 0 from step {first} of {recipe.steps} on, nothing is learnt: change {change}"


def _beyond_memory(recipe: Recipe, traced: Trace) -> Iterator[str]:
    if traced.bytes_activations > memory():
        kept, there = (f"{size / 2**30:,.0f} GiB" for size in (traced.bytes_activations, memory()))
        yield (
            f"data.batch: a step of {recipe.data.batch:,} images keeps about {kept} of activations, and this machine "
            f"has {there} of memory: lower data.batch or data.size, or set run.micro_batch"
        )


def _unrepeatable(recipe: Recipe, traced: Trace) -> Iterator[str]:
    for network, what in traced.unrepeatable.items() if recipe.run.deterministic else ():
        yield f"run.deterministic: on CUDA {what} in {network} is summed in no order, and no run repeats another's bits"


def _without_pairs(recipe: Recipe, catalog: Catalog, traced: Trace) -> Iterator[str]:
    """Terms that compare images, or features, of different domains place by place, on data without pairs."""
    unpaired = {stream for stream, paired in _told(recipe, catalog, "paired").items() if paired is False}
    routes, said = catalog.trainers.get(recipe.trainer).routes, set()
    for phase, name, route in (key.split("/") for key in traced.terms):
        lines = recipe.terms(phase)[name]
        term = lines.get(route, lines.get("*"))
        if term is None or recipe.phases[phase].stream not in unpaired or (phase, name) in said:
            continue
        compared = _compared(catalog.losses.get(term.loss), term.arguments)
        seen = [_seen((phase, route, argument), traced, routes) for argument in compared]
        if seen and all(seen) and not set.intersection(*seen):
            said.add((phase, name))
            of = " and ".join(", ".join(sorted(domains)) for domains in seen)
            yield (
                f"phases.{phase}.minimize.{name}: '{term}' compares images of {of} place by place, and the data gives "
                f"no pairs of them: use pairs (as of paired_folders), or leave the term out (--drop {phase}.{name})"
            )


def _compared(loss: Any, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments that a loss compares: the one that it calls `target`, and the one before it."""
    function = getattr(loss, "forward", None) or (loss.__call__ if inspect.isclass(loss) else loss)
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    place = names.index("target") if "target" in names else 0
    return arguments[place - 1 : place + 1] if place else ()


def _seen(node: Node, traced: Trace, routes: Mapping[str, tuple[str, str]]) -> set[str]:
    """The domains of the images whose places a tensor keeps: what comes through a code has none."""
    _, route, name = node
    if not _has_places(traced.shapes.get(node, "")):
        return set()
    own = {routes[route][name == "target"]} if name in ("source", "target") else set[str]()
    return own.union(*(_seen(needed, traced, routes) for needed in traced.needs.get(node, ())))


def _has_places(shape: str) -> bool:
    """Whether one of the tensors that a trace describes so has height and width: "1x3x64x64"."""
    return any(part.count("x") == 3 and not part.endswith("x1x1") for part in shape.split(", "))
