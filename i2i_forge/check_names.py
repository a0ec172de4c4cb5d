"""What in a recipe does not exist: components, options, roles, tensors, losses. Works on unchecked data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from i2i_forge.errors import suggest
from i2i_forge.schema import Data, Network
from i2i_forge.terms import TermSyntaxError, parse_term, parse_weight
from i2i_forge.vocabulary import Component, Parameter, Vocabulary
from i2i_forge.yaml_source import Path as Keys

Problem = tuple[Keys, str]
_NUMBERS = {"int": int, "float": (int, float), "str": str, "bool": bool}


def name_problems(data: dict[str, Any], vocabulary: Vocabulary | None) -> list[Problem]:
    """Every name in the recipe's data that is unknown, every option that does not fit, with its place."""
    return [*_term_problems(data, vocabulary), *_role_problems(data), *_component_problems(data, vocabulary)]


def _mapping(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _component_problems(data: dict[str, Any], vocabulary: Vocabulary | None) -> Iterator[Problem]:
    if vocabulary is None:
        return
    trainer = _one(vocabulary, "trainers", data.get("trainer"))
    yield from _unknown(vocabulary, "trainers", data.get("trainer"), ("trainer",))
    roles = trainer.roles if trainer else None
    for role, network in _mapping(data, "networks").items():
        if roles is None:
            continue
        if role not in roles:
            yield ("networks", role), f"{data['trainer']} has no such role; {suggest(role, roles)}"
        elif isinstance(network, dict):
            yield from _spec_problems(vocabulary, roles[role], network, ("networks", role), set(Network.model_fields))
    for role in roles or ():
        if role not in _mapping(data, "networks"):
            yield ("networks", role), f"this key is missing: {data['trainer']} needs the role '{role}'"
    for keys, stream in _streams(data):
        yield from _spec_problems(vocabulary, "datasets", stream, keys, set(Data.model_fields))


def _streams(data: dict[str, Any]) -> Iterator[tuple[Keys, dict[str, Any]]]:
    main = _mapping(data, "data")
    others = {key: value for key, value in main.items() if isinstance(value, dict) and "use" in value}
    yield ("data",), {key: value for key, value in main.items() if key not in others}
    for name, stream in others.items():
        yield ("data", name), stream


def _one(vocabulary: Vocabulary, kind: str, name: Any) -> Component | None:
    found = vocabulary.find(kind, name) if isinstance(name, str) else []
    return found[0] if len(found) == 1 else None


def _unknown(vocabulary: Vocabulary, kind: str, name: Any, keys: Keys) -> Iterator[Problem]:
    if not isinstance(name, str):
        return
    found = vocabulary.find(kind, name)
    if not found and vocabulary.complete:
        yield keys, f"there is no '{name}' among the {kind}; {suggest(name, vocabulary.names(kind), what=kind)}"
    if len(found) > 1:
        choices = " or ".join(f"{c.plugin}:{c.name}" for c in found)
        yield keys, f"'{name}' is both {' and '.join(c.origin for c in found)}; write {choices}"


def _spec_problems(
    vocabulary: Vocabulary, kind: str, spec: dict[str, Any], keys: Keys, engine_keys: set[str]
) -> Iterator[Problem]:
    """Problems of a `{use: name, option: value}` mapping."""
    yield from _unknown(vocabulary, kind, spec.get("use"), (*keys, "use"))
    component = _one(vocabulary, kind, spec.get("use"))
    if component is None or component.options is None:
        return
    given = {key: value for key, value in spec.items() if key not in engine_keys}
    yield from _option_problems(component, given, keys)


def _option_problems(component: Component, given: dict[str, Any], keys: Keys) -> Iterator[Problem]:
    known = {parameter.name: parameter for parameter in component.options or ()}
    for key, value in given.items():
        if key not in known:
            yield (*keys, key), f"{component.name} has no option '{key}'; {suggest(key, known, what='option')}"
        elif not _fits(known[key], value):
            yield (*keys, key), f"{component.name} wants {known[key].annotation} here, not {value!r}"
    for parameter in known.values():
        if parameter.default is None and parameter.name not in given:
            yield (*keys, parameter.name), f"this key is missing: {component.name} needs it"


def _fits(parameter: Parameter, value: Any) -> bool:
    """Whether a value fits an annotation; annotations beyond plain ones and Literal fit everything."""
    if parameter.annotation is None:
        return True
    return _matches(ast.parse(parameter.annotation, mode="eval").body, value)


def _matches(node: ast.expr, value: Any) -> bool:
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _matches(left, value) or _matches(right, value)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name) if name in _NUMBERS:
            return isinstance(value, _NUMBERS[name]) and (name == "bool" or not isinstance(value, bool))  # type: ignore[arg-type]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return value in (
                ast.literal_eval(choices) if isinstance(choices, ast.Tuple) else (ast.literal_eval(choices),)
            )
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return isinstance(value, list) and all(_matches(item, v) for v in value)
    return True


def _role_problems(data: dict[str, Any]) -> Iterator[Problem]:
    """Roles and phases that other sections name but the recipe does not have."""
    roles, phases = _mapping(data, "networks"), _mapping(data, "phases")
    streams = [str(keys[-1]) for keys, _ in _streams(data)][1:]
    for name, phase in phases.items():
        for index, role in enumerate(phase.get("trains") or () if isinstance(phase, dict) else ()):
            if role not in roles:
                yield ("phases", name, "trains", index), f"there is no network '{role}'; {suggest(str(role), roles)}"
        for tensor, owner in _mapping(phase, "reuse").items():
            if owner not in phases or owner == name:
                yield (
                    ("phases", name, "reuse", tensor),
                    f"there is no other phase '{owner}'; {suggest(str(owner), phases)}",
                )
        stream = phase.get("stream", "main") if isinstance(phase, dict) else "main"
        if stream not in ("main", *streams):
            yield (
                ("phases", name, "stream"),
                f"data has no stream '{stream}'; {suggest(str(stream), ['main', *streams])}",
            )
    taken: dict[str, str] = {}
    for name, entry in _mapping(data, "optimizers").items():
        for index, role in enumerate(entry.get("roles") or () if isinstance(entry, dict) else ()):
            keys: Keys = ("optimizers", name, "roles", index)
            if role not in roles:
                yield keys, f"there is no network '{role}'; {suggest(str(role), roles)}"
            elif role in taken:
                yield keys, f"'{role}' is already in optimizers.{taken[role]}"
            taken[str(role)] = name
        if isinstance(entry, dict) and isinstance(entry.get("schedule"), str):
            try:
                parse_weight(entry["schedule"])
            except TermSyntaxError as error:
                yield (
                    ("optimizers", name, "schedule"),
                    str(error).replace("`10 * l1(cycled, source)`", "`step(1000, 0.5)`"),
                )
    trained = {r for phase in phases.values() if isinstance(phase, dict) for r in phase.get("trains") or ()}
    for role in sorted(trained & set(roles) - set(taken)):
        if "default" not in _mapping(data, "optimizers"):
            yield (
                ("optimizers",),
                f"no entry takes '{role}', which is trained; add an entry `default` or name it in `roles`",
            )


def _term_problems(data: dict[str, Any], vocabulary: Vocabulary | None) -> Iterator[Problem]:
    trainer = _one(vocabulary, "trainers", data.get("trainer")) if vocabulary else None
    for phase_name, phase in _mapping(data, "phases").items():
        for name, line in _mapping(phase, "minimize").items():
            keys: Keys = ("phases", phase_name, "minimize", name)
            lines = line.items() if isinstance(line, dict) else [("*", line)]
            for route, text in lines:
                at = (*keys, route) if isinstance(line, dict) else keys
                if route != "*" and trainer and trainer.routes and route not in trainer.routes:
                    yield at, f"{trainer.name} has no route '{route}'; {suggest(str(route), trainer.routes)}"
                if isinstance(text, str):
                    yield from _one_term(text, at, trainer, vocabulary)
        for tensor in _mapping(phase, "reuse"):
            yield from _tensor_problem(tensor, ("phases", phase_name, "reuse", tensor), trainer)


def _one_term(text: str, keys: Keys, trainer: Component | None, vocabulary: Vocabulary | None) -> Iterator[Problem]:
    try:
        term = parse_term(text)
    except TermSyntaxError as error:
        yield keys, str(error)
        return
    for tensor in term.tensors:
        yield from _tensor_problem(tensor, keys, trainer)
    if vocabulary is None:
        return
    yield from _unknown(vocabulary, "losses", term.loss, keys)
    loss = _one(vocabulary, "losses", term.loss)
    if loss is not None and loss.options is not None:
        yield from _option_problems(loss, dict(term.options), keys)
    if loss is not None and loss.arguments is not None and loss.arguments != len(term.tensors):
        yield keys, f"{term.loss} takes {loss.arguments} tensors, here are {len(term.tensors)}"


def _tensor_problem(tensor: str, keys: Keys, trainer: Component | None) -> Iterator[Problem]:
    if trainer is not None and trainer.tensors is not None and tensor not in trainer.tensors:
        yield keys, f"{trainer.name} has no tensor '{tensor}'; {suggest(tensor, trainer.tensors)}"
