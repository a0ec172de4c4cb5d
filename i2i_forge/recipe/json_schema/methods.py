"""What the trainer of a recipe decides, as JSON Schema: its roles, its tensors, its routes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.recipe.json_schema.values import NAME, Schema, named, or_null
from i2i_forge.recipe.schedules import SCHEDULES

# What these expressions of terms and schedules let pass may still be refused by `terms`.
_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
_SCHEDULE = rf"(?:{'|'.join(SCHEDULES)})\s*\([^()]*\)"
SCHEDULE_PATTERN = rf"^\s*(?:{_NUMBER}|{_SCHEDULE})(?:\s*\*\s*(?:{_NUMBER}|{_SCHEDULE}))*\s*$"
EXAMPLES = ["10 * l1(cycled, source)", "linear(0, 1, steps=10_000) * l1(recovered_style, random_style)"]


def method_schemas(vocabulary: Vocabulary) -> list[Schema]:
    """One for each trainer: if the recipe names it, then its roles, tensors and routes hold."""
    return [
        {"if": named(vocabulary, trainer, "trainer"), "then": _method_schema(vocabulary, trainer)}
        for trainer in vocabulary.of("trainers")
    ]


def kinds_of_roles(vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Role -> the registries its networks come from, over all methods."""
    found: dict[str, set[str]] = {}
    for trainer in vocabulary.of("trainers"):
        for role, kind in (trainer.roles or {}).items():
            found.setdefault(role, set()).add(kind)
    return {role: sorted(kinds) for role, kinds in sorted(found.items())}


def domains(vocabulary: Vocabulary) -> list[str] | None:
    """The domains of all methods; None where some are not known."""
    every = [trainer.routes for trainer in vocabulary.of("trainers")] + ([] if vocabulary.complete else [None])
    return _union(None if routes is None else chain.from_iterable(routes.values()) for routes in every)


def with_phases(vocabulary: Vocabulary, trainer: Component | None = None) -> Schema:
    """A recipe with phases of one method, or of all together; one with `domains` may name further images in terms."""
    images, none = (
        {"properties": {"phases": _phases(vocabulary, trainer, has_images=has_images)}} for has_images in (True, False)
    )
    return {"if": {"required": ["domains"]}, "then": images, "else": none}


def _phases(vocabulary: Vocabulary, trainer: Component | None, *, has_images: bool) -> Schema:
    """Roles, terms and tensors."""
    mine = [trainer] if trainer else vocabulary.of("trainers")
    unread = trainer is None and not vocabulary.complete
    roles, routes, tensors = (
        None if unread else _union(getattr(one, what) for one in mine) for what in ("roles", "routes", "tensors")
    )
    arguments = None if roles is None or tensors is None or has_images else sorted({*roles, *tensors})
    losses = vocabulary.names("losses") if vocabulary.complete else None
    phase: Schema = {
        "trains": {"items": _names(roles)},
        "minimize": {"additionalProperties": term_schema(losses, arguments, routes)},
        "reuse": {"propertyNames": _names(tensors)},
    }
    return {"additionalProperties": {"properties": phase}}


def term_schema(losses: Iterable[str] | None, arguments: Iterable[str] | None, routes: Iterable[str] | None) -> Schema:
    """A term, or one for each route. None stands for any name."""
    words = "A term reads `10 * l1(cycled, source)`: [weight *] loss(tensor or role, ..., option=value)."
    words += f" Losses: {', '.join(losses)}." if losses is not None else ""
    words += f" Tensors and roles: {', '.join(arguments)}." if arguments is not None else ""
    text: Schema = {"type": "string", "pattern": term_pattern(losses, arguments), "patternErrorMessage": words}
    text |= {"description": words, "examples": EXAMPLES}
    by_route: Schema = {"type": "object", "propertyNames": _names(routes), "additionalProperties": or_null(text)}
    return {"anyOf": [text, by_route, {"type": "null"}]}


def term_pattern(losses: Iterable[str] | None = None, arguments: Iterable[str] | None = None) -> str:
    """The pattern of `[factor *]... loss(argument, ..., option=literal)`.

    Args:
        losses: the names there are, with or without "plugin."; None: any name.
        arguments: the tensors and roles there are; None: any name.
    """
    loss, argument = (_NAME if names is None else f"(?:{'|'.join(sorted(names))})" for names in (losses, arguments))
    given = rf"(?:{argument}(?:\s*,\s*{argument})*)?"
    options = rf"(?:\s*,?\s*{_NAME}\s*=[\s\S]*)?"
    factors = rf"(?:(?:{_NUMBER}|{_SCHEDULE})\s*\*\s*)*"
    return rf"^\s*{factors}(?:{_NAME}\s*\.\s*)?{loss}\s*\(\s*{given}{options}\s*,?\s*\)\s*$"


def _method_schema(vocabulary: Vocabulary, trainer: Component) -> Schema:
    found: Schema = {}
    phases = {"allOf": [with_phases(vocabulary, trainer)]}
    if trainer.state is not None:
        found["state"] = {"propertyNames": _names(trainer.state)}
    if trainer.roles is None:
        return {"properties": found, **phases}
    found["networks"] = {"propertyNames": _names(trainer.roles)}
    needed = [role for role in trainer.roles if role not in trainer.optional_roles]
    whole = {"properties": {"networks": {"required": needed}}}
    return {"properties": found, **phases, "if": {"not": {"required": ["base"]}}, "then": whole}


def _union(each: Iterable[Iterable[str] | None]) -> list[str] | None:
    """All names, sorted; None where some are not known."""
    found: set[str] = set()
    for names in each:
        if names is None:
            return None
        found |= set(names)
    return sorted(found)


def _names(names: Iterable[str] | None) -> Schema:
    return {"pattern": NAME} if names is None else {"enum": sorted(names)}
