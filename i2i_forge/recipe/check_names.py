"""What in a recipe does not exist: components, options, roles, phases, tensors, losses. Works on unchecked data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.errors import suggest
from i2i_forge.recipe.check_components import Problem, component_problems, mapping, option_problems, streams, unknown
from i2i_forge.recipe.schema import RULES
from i2i_forge.recipe.terms import TermSyntaxError, parse_term, parse_weight
from i2i_forge.recipe.yaml_source import Keys


def name_problems(data: dict[str, Any], vocabulary: Vocabulary) -> list[Problem]:
    """Every name in the recipe's data that is unknown, every option that does not fit, with its place."""
    return [
        *_term_problems(data, vocabulary),
        *_phase_problems(data),
        *_optimizer_problems(data),
        *_roles_left(data),
        *_run_problems(data),
        *component_problems(data, vocabulary),
    ]


def _phase_problems(data: dict[str, Any]) -> Iterator[Problem]:
    """Roles, phases and streams that a phase names but the recipe does not have."""
    phases = mapping(data, "phases")
    known_streams = ["main", *(str(keys[-1]) for keys, _ in streams(data) if len(keys) > 1)]
    for name, phase in phases.items():
        at = ("phases", name)
        yield from _no_networks(data, *at, "trains")
        for tensor, owner in mapping(phase, "reuse").items():
            if str(owner) not in phases or owner == name:
                yield (*at, "reuse", tensor), f"there is no other phase '{owner}'; {suggest(str(owner), phases)}"
        stream = phase.get("stream") if isinstance(phase, dict) else None
        if isinstance(stream, str) and stream not in known_streams:
            yield (*at, "stream"), f"data has no stream '{stream}'; {suggest(stream, known_streams)}"


def _optimizer_problems(data: dict[str, Any]) -> Iterator[Problem]:
    """Roles that two entries take, and rules and schedules that there are not."""
    roles, entries = mapping(data, "networks"), mapping(data, "optimizers")
    taken: dict[str, str] = {}
    for name, entry in entries.items():
        at = ("optimizers", name, "roles")
        yield from _no_networks(data, *at)
        for index, role in _texts(data, *at):
            if role in taken and (role in roles or not roles):
                yield (*at, index), f"'{role}' is already in optimizers.{taken[role]}"
            taken[role] = name
        rule = entry.get("use") if isinstance(entry, dict) else None
        if isinstance(rule, str) and rule not in RULES:
            yield ("optimizers", name, "use"), f"there is no optimizer '{rule}'; {suggest(rule, RULES)}"
        if isinstance(entry, dict) and isinstance(entry.get("schedule"), str):
            try:
                parse_weight(entry["schedule"])
            except TermSyntaxError as error:
                yield ("optimizers", name, "schedule"), str(error)


def _roles_left(data: dict[str, Any]) -> Iterator[Problem]:
    """A second optimizer for the roles that no entry names, and roles that are trained but have none."""
    roles, entries = mapping(data, "networks"), mapping(data, "optimizers")
    rest = [name for name, entry in entries.items() if isinstance(entry, dict) and entry.get("roles") is None]
    for name in rest[1:]:
        example = name if name in roles else next(iter(roles), "discriminator")
        yield (
            ("optimizers", name),
            f"'{rest[0]}' takes the roles that no entry names already; give '{name}' its `roles`, "
            f"for example `{name}: {{roles: [{example}], lr: 1.0e-4}}`",
        )
    trained = {role for phase in mapping(data, "phases") for _, role in _texts(data, "phases", phase, "trains")}
    taken = {role for name in entries for _, role in _texts(data, "optimizers", name, "roles")}
    left = sorted(trained & set(roles) - taken)
    if left and entries and not rest:
        shown = ", ".join(f"'{role}'" for role in left)
        yield ("optimizers",), f"no entry takes {shown}, which a phase trains; name it in `roles`, or add a `default`"


def _run_problems(data: dict[str, Any]) -> Iterator[Problem]:
    for at in (("run", "recompute"), ("run", "compile"), ("ema", "roles")):
        yield from _no_networks(data, *at)
    recomputed = [role for _, role in _texts(data, "run", "recompute")]
    for index, role in _texts(data, "run", "compile"):
        if role in recomputed:
            yield ("run", "compile", index), f"'{role}' is in run.recompute too; take it out of one of them"


def _no_networks(data: dict[str, Any], *at: str) -> Iterator[Problem]:
    """Roles in the list at these keys that the recipe has no network for."""
    roles = mapping(data, "networks")
    for index, role in _texts(data, *at):
        if roles and role not in roles:  # without any, that is the mistake
            yield (*at, index), f"there is no network '{role}'; {suggest(role, roles)}"


def _texts(data: dict[str, Any], *at: str) -> list[tuple[int, str]]:
    """The texts in the list at these keys, each with its index."""
    found = mapping(data, *at[:-1]).get(at[-1])
    return [(i, item) for i, item in enumerate(found if isinstance(found, list) else ()) if isinstance(item, str)]


def _term_problems(data: dict[str, Any], vocabulary: Vocabulary) -> Iterator[Problem]:
    trainer = vocabulary.one("trainers", data.get("trainer"))
    domains = mapping(data, "domains")
    others = {*mapping(data, "networks"), *domains, *mapping(data, "data", "files")}
    others |= {f"valid_{name}" for name in domains if "nodata" in mapping(domains, name)}
    for phase_name, phase in mapping(data, "phases").items():
        for name, line in mapping(phase, "minimize").items():
            keys: Keys = ("phases", phase_name, "minimize", name)
            lines = line.items() if isinstance(line, dict) else [("*", line)]
            for route, text in lines:
                at = (*keys, route) if isinstance(line, dict) else keys
                if route != "*" and trainer and trainer.routes and route not in trainer.routes:
                    yield at, f"{trainer.name} has no route '{route}'; {suggest(str(route), trainer.routes)}"
                if isinstance(text, str):
                    yield from _one_term(text, at, trainer, vocabulary, others)
        for tensor in mapping(phase, "reuse"):
            yield from _tensor_problem([tensor], ("phases", phase_name, "reuse", tensor), trainer)


def _one_term(
    text: str, keys: Keys, trainer: Component | None, vocabulary: Vocabulary, others: set[str]
) -> Iterator[Problem]:
    try:
        term = parse_term(text)
    except TermSyntaxError as error:
        yield keys, str(error)
        return
    yield from _tensor_problem([name for name in term.arguments if name not in others], keys, trainer)
    yield from unknown(vocabulary, "losses", term.loss, keys)
    loss = vocabulary.one("losses", term.loss)
    if loss is not None and loss.options is not None:
        yield from option_problems(loss, dict(term.options), keys)
    if loss is not None and loss.arguments is not None and loss.arguments != len(term.arguments):
        s = "" if loss.arguments == 1 else "s"
        yield keys, f"{term.loss} takes {loss.arguments} argument{s}, not {len(term.arguments)}"


def _tensor_problem(tensors: Iterable[str], keys: Keys, trainer: Component | None) -> Iterator[Problem]:
    """At most one problem for all tensors of a term, so that the list of those that exist is said once."""
    if trainer is None or trainer.tensors is None:
        return
    missing = [tensor for tensor in dict.fromkeys(tensors) if tensor not in trainer.tensors]
    if missing:
        shown = " and no ".join(f"'{tensor}'" for tensor in missing)
        yield keys, f"{trainer.name} has no tensor {shown}; {suggest(missing[0], trainer.tensors)}"
