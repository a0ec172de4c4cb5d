"""`{use: name, option: value}` as JSON Schema: the options follow the component that `use` names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from i2i_forge.catalog.vocabulary import Component, Vocabulary
from i2i_forge.recipe.check_components import rule_options
from i2i_forge.recipe.json_schema.methods import SCHEDULE_PATTERN
from i2i_forge.recipe.json_schema.values import NO_SUCH_KEY, Schema, named, option_schema, or_null
from i2i_forge.recipe.schema import RULES


def component_schema(vocabulary: Vocabulary, kind: str, own: Schema, others: Schema = NO_SUCH_KEY) -> Schema:
    """The mapping of one component.

    Args:
        vocabulary: the components there are.
        kind: a registry, "encoders".
        own: the keys of the framework beside `use`, with their schemas.
        others: the schema of all other keys.
    """
    options = [(c, {o.name: option_schema(o, kind) for o in c.options or ()}) for c in vocabulary.of(kind)]
    cases = [
        _case(
            named(vocabulary, component),
            own | _or_other(schemas, others),
            others if component.options is not None else {},
        )
        for component, schemas in options
    ]
    known = vocabulary.complete and all(component.options is not None for component, _ in options)
    any_of_them = _or_other(_together(schemas for _, schemas in options), others)
    partial = _case({"not": {"required": ["use"]}}, own | any_of_them, others if known else {})
    return {
        "type": ["object", "null"],
        "properties": {"use": or_null(names_schema(vocabulary, kind)), **own},
        "allOf": [*cases, partial],
    }


def names_schema(vocabulary: Vocabulary, kind: str) -> Schema:
    """The names of a kind, each with what it is; any text where a plugin's names cannot be read."""
    names: list[Schema] = [
        {"const": name, "description": component.summary} if component.summary else {"const": name}
        for component in vocabulary.of(kind)
        for name in vocabulary.called(component)[:1]
    ]
    further = [name for component in vocabulary.of(kind) for name in vocabulary.called(component)[1:]]
    return {"anyOf": [*names, {"enum": further} if vocabulary.complete else {"type": "string"}]}


def required_options(vocabulary: Vocabulary, kind: str) -> list[Schema]:
    """For each component that cannot do without some options: if it is used, they are there."""
    return [
        {"if": named(vocabulary, component), "then": {"required": required}}
        for component in vocabulary.of(kind)
        if (required := [option.name for option in component.options or () if option.default is None])
    ]


def optimizer_schema(own: dict[str, Schema]) -> Schema:
    """The schema of an entry of `optimizers` with the framework's keys `own`."""
    rules = [Component("rules", rule, "torch", f"torch.optim.{rule}", options=rule_options(rule)) for rule in RULES]
    schedule: Schema = {"type": ["number", "string", "null"], "pattern": SCHEDULE_PATTERN}
    schedule["patternErrorMessage"] = "A schedule reads `step(100_000, 0.5)`."
    beside = {key: value for key, value in own.items() if key != "use"} | {"schedule": own["schedule"] | schedule}
    found = component_schema(Vocabulary(rules), "rules", beside)
    found["properties"]["use"] = own["use"] | {"enum": [*RULES, None]}
    return found


def _case(condition: Schema, options: Mapping[str, Schema], others: Schema) -> Schema:
    return {"if": condition, "then": {"properties": {"use": {}, **options}, "additionalProperties": others}}


def _or_other(schemas: Mapping[str, Schema], others: Schema) -> dict[str, Schema]:
    """The options; where there may be other mappings, one with `use` is such a one, whatever its name."""
    if others is NO_SUCH_KEY:
        return dict(schemas)
    is_other: Schema = {"type": "object", "required": ["use"]}
    return {
        name: {key: schema[key] for key in ("description", "default") if key in schema}
        | {"if": is_other, "then": others, "else": schema}
        for name, schema in schemas.items()
    }


def _together(each: Iterable[dict[str, Schema]]) -> dict[str, Schema]:
    """The options of several components: what fits any of those that have it."""
    found: dict[str, dict[str, Schema]] = {}
    for options in each:
        for name, schema in options.items():
            bare = {key: value for key, value in schema.items() if key not in ("default", "description")}
            found.setdefault(name, {})[json.dumps(bare, sort_keys=True)] = bare
    return {
        name: next(iter(either.values())) if len(either) == 1 else {"anyOf": list(either.values())}
        for name, either in sorted(found.items())
    }
