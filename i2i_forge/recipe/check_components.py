"""Components in a recipe's data that do not exist, and options that do not fit them. Works on unchecked data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from i2i_forge.catalog.registry import NETWORKS
from i2i_forge.catalog.signatures import Parameter, class_options
from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.errors import suggest
from i2i_forge.recipe.schema import RULES, Data, Network
from i2i_forge.recipe.yaml_source import Keys

Problem = tuple[Keys, str]


class PluginProblem(str):
    """The text of a problem that lies with plugins, not with the recipe."""


MOST = 2**16  # in an option of a network: wider and deeper fits no machine
_OURS = ("params", "lr", "foreach", "fused", "capturable")  # of optimizers: set by us, or by a key of its own


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """The mapping under these keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def component_problems(data: dict[str, Any], vocabulary: Vocabulary) -> Iterator[Problem]:
    """Trainer, networks and data sets: unknown names and roles, options that do not fit."""
    trainer = vocabulary.one("trainers", data.get("trainer"))
    yield from unknown(vocabulary, "trainers", data.get("trainer"), ("trainer",))
    roles = trainer.roles if trainer else None
    for role, network in mapping(data, "networks").items():
        if roles is None:
            continue
        if role not in roles:
            yield ("networks", role), f"{data['trainer']} has no such role; {suggest(role, roles)}"
        elif isinstance(network, dict):
            yield from _network_problems(vocabulary, roles[role], network, ("networks", role))
            yield from _domain_problems(trainer, network, ("networks", role, "per"))
    for role in roles or ():
        if role not in mapping(data, "networks") and trainer and role not in trainer.optional_roles:
            yield ("networks", role), f"this key is missing: {data['trainer']} needs the role '{role}'"
    for name in mapping(data, "state"):
        if trainer and trainer.state is not None and name not in trainer.state:
            yield ("state", name), f"{trainer.name} has no such state; {suggest(name, trainer.state)}"
    for keys, stream in streams(data):
        yield from _spec_problems(vocabulary, "datasets", stream, keys, set(Data.model_fields))


def _network_problems(vocabulary: Vocabulary, kind: str, network: dict[str, Any], keys: Keys) -> Iterator[Problem]:
    """Problems of a role's network, or of each domain's where they differ."""
    own = mapping(network, "per")
    if not own:
        yield from _spec_problems(vocabulary, kind, network, keys, set(Network.model_fields))
    for domain, changes in own.items():
        merged = network | (changes if isinstance(changes, dict) else {})
        for at, text in _spec_problems(vocabulary, kind, merged, keys, set(Network.model_fields)):
            yield ((*keys, "per", domain, at[-1]) if isinstance(changes, dict) and at[-1] in changes else at), text


def _domain_problems(trainer: Component | None, network: dict[str, Any], keys: Keys) -> Iterator[Problem]:
    """Domains in `per` that no route of the trainer goes through."""
    per, routes = network.get("per"), (trainer.routes if trainer else None) or {}
    domains = {domain for route in routes.values() for domain in route}
    named = list(per.items()) if isinstance(per, dict) else list(enumerate(per if isinstance(per, list) else ()))
    for place, value in named if domains else ():
        domain = place if isinstance(per, dict) else value
        if isinstance(domain, str) and domain not in domains:
            yield (*keys, place), f"there is no domain '{domain}'; {suggest(domain, domains)}"


def streams(data: dict[str, Any]) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """The keys and the data of the main stream, and of those that `data` names."""
    main = mapping(data, "data")
    others = {key: value for key, value in main.items() if isinstance(value, dict) and "use" in value}
    yield ("data",), {key: value for key, value in main.items() if key not in others}
    for name, stream in others.items():
        yield ("data", name), stream


def unknown(vocabulary: Vocabulary, kind: str, name: Any, keys: Keys) -> Iterator[Problem]:
    """A name that is not there, that belongs to a broken plugin, or that two plugins bring."""
    if not isinstance(name, str):
        return
    found = vocabulary.find(kind, name)
    bare = name.rpartition(":")[2]
    aside = [(c, why) for c, why in vocabulary.unusable if (c.kind, c.name) == (kind, bare)]
    if not found and aside:
        component, why = aside[0]
        reason = why.splitlines()[0]
        yield keys, PluginProblem(f"'{name}' belongs to plugin '{component.plugin}', which cannot be used: {reason}")
    elif not found and vocabulary.complete:
        hint = suggest(bare, vocabulary.names(kind), what=kind)
        yield keys, f"there is no '{name}' among the {kind}; {hint}; is its plugin installed, or given by --plugins?"
    if len(found) > 1:
        mark = "." if kind == "losses" else ":"  # a term is read as Python
        choices = " or ".join(f"{c.plugin}{mark}{c.name}" for c in found)
        yield keys, PluginProblem(f"'{name}' is both {' and '.join(c.origin for c in found)}; write {choices}")


def _spec_problems(
    vocabulary: Vocabulary, kind: str, spec: dict[str, Any], keys: Keys, engine_keys: set[str]
) -> Iterator[Problem]:
    yield from unknown(vocabulary, kind, spec.get("use"), (*keys, "use"))
    component = vocabulary.one(kind, spec.get("use"))
    if component is None or component.options is None:
        return
    given = {key: value for key, value in spec.items() if key not in engine_keys}
    yield from option_problems(component, given, keys)


def option_problems(component: Component, given: dict[str, Any], keys: Keys) -> Iterator[Problem]:
    """Options that the component does not have or that do not fit, and required ones that are missing."""
    known = {parameter.name: parameter for parameter in component.options or ()}
    for key, value in given.items():
        if key not in known:
            yield (*keys, key), f"{component.name} has no option '{key}'; {suggest(key, known, what='option')}"
        elif not _fits(annotation_of(known[key], component.kind), value):
            yield (*keys, key), f"{component.name} wants {known[key].annotation} here, not {value!r}"
        elif component.kind in NETWORKS and isinstance(value, int) and abs(value) > MOST:
            yield (*keys, key), f"{value} is too large, at most {MOST:,} is taken here"
    for parameter in known.values():
        if parameter.default is None and parameter.name not in given:
            yield (*keys, parameter.name), f"this key is missing: {component.name} needs it"


def rule_options(rule: str) -> tuple[Parameter, ...] | None:
    """The options of an optimizer, read from torch's source; None where that is not as it is known to be."""
    options = class_options(f"torch.optim.{rule}", RULES[rule])
    return options and tuple(option for option in options if option.name not in _OURS)


def annotation_of(option: Parameter, kind: str) -> str | None:
    """What a recipe may say for an option: "pair" for the channels of a network too."""
    is_counted = kind in NETWORKS and option.name == "channels" and option.annotation
    return f"{option.annotation} | Literal['pair']" if is_counted else option.annotation


def _fits(annotation: str | None, value: Any) -> bool:
    try:
        option_type(annotation).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


_PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}


@cache
def option_type(annotation: str | None) -> TypeAdapter[Any]:
    """What an annotation of a plugin's source allows: everything, unless it is of plain types, lists and Literal."""
    return TypeAdapter(_type(ast.parse(annotation, mode="eval").body) if annotation else Any)


def _type(node: ast.expr) -> Any:
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            either = _type(left), _type(right)
            return Any if Any in either else either[0] | either[1]
        case ast.Constant(value=None):
            return type(None)
        case ast.Name(id=name):
            return _PLAIN.get(name, Any)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            values = tuple(choice.value if isinstance(choice, ast.Constant) else ... for choice in listed)
            return Literal[values] if all(isinstance(value, str | int | None) for value in values) else Any
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]
    return Any
