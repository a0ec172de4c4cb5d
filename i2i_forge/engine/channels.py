"""How many channels the networks of a recipe have: those of the domains that they see, where it says nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from i2i_forge.data.domains import Domains
from i2i_forge.engine.method import Method
from i2i_forge.errors import RecipeError

SEES = {"encoders": "source", "decoders": "target", "discriminators": "target"}  # unless the method says otherwise


def channels_of(
    role: str, domain: str, component: Any, options: Mapping[str, Any], method: type[Method], domains: Domains
) -> dict[str, Any]:
    """What is to be said of channels to a network, beside its other options.

    Args:
        domain: whose network it is, or "shared".
        component: what builds it.
        options: as the recipe says them.

    Raises:
        RecipeError: the number that the recipe says is not that of the images, or no number is right.
    """
    written, where = options.get("channels"), f"networks.{role}"
    if domains.are_rgb8 and written != "pair":
        return {}
    if "channels" not in inspect.signature(component).parameters:
        return {}
    if method.sees.get(role) == "pair":
        return {"channels": _both(written, where, method, domains)}
    single, pairs = dict(_single(role, domain, method, domains)), dict(_pairs(domain, method, domains))
    together = {route: sum(pair) for route, pair in pairs.items()}
    if written == "pair":
        return {"channels": _common(together, where)}
    if written is None:
        return {"channels": _common(single, where)}
    grey = [1 for name in single if domains[name].is_rgb8] + [1 + b for (a, b) in pairs.values() if a == 3]
    if written not in [*single.values(), *together.values(), *grey]:
        said = ", ".join(f"{name} has {count}" for name, count in single.items())
        pair = f"; {where}.channels=pair for pairs ({max(together.values())})" if together else ""
        raise RecipeError(
            f"{where}.channels: {written}, and of its images {said}",
            fix=f"leave it out: --set {where}.channels=~{pair if method.roles[role] == 'discriminators' else ''}",
        )
    return {}


def _both(written: Any, where: str, method: type[Method], domains: Domains) -> int | list[int]:
    """The channels of an image of the domain that the first route enters, and of its counterpart in the other."""
    left, entered = next(iter(method.routes.values()))
    counts = [len(domains[entered]), len(domains[left])]
    found = counts[0] if counts[0] == counts[1] else counts
    if written not in (None, found, counts):
        raise RecipeError(
            f"{where}.channels: {written}, and it sees {entered} ({counts[0]}) beside {left} ({counts[1]})",
            fix=f"leave it out: --set {where}.channels=~",
        )
    return found


def _single(role: str, domain: str, method: type[Method], domains: Domains) -> Iterator[tuple[str, int]]:
    """The domains that a network sees, each with its channels."""
    if domain != "shared":
        yield domain, len(domains[domain])
        return
    sees = method.sees.get(role, SEES[method.roles[role]])
    for source, target in method.routes.values():
        for name in (source,) if sees == "source" else (target,) if sees == "target" else (source, target):
            yield name, len(domains[name])


def _pairs(domain: str, method: type[Method], domains: Domains) -> Iterator[tuple[str, tuple[int, int]]]:
    """What a pair has on each route that enters a domain: channels of source and target."""
    for route, (source, target) in method.routes.items():
        if domain in ("shared", target):
            yield route, (len(domains[source]), len(domains[target]))


def _common(counts: Mapping[str, int], where: str) -> int:
    if len(set(counts.values())) != 1:
        said = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise RecipeError(
            f"{where}: {said} channels, and they share it",
            fix=f"give each domain its own: --set {where}.per=[{', '.join(counts)}]",
        )
    return next(iter(counts.values()))
