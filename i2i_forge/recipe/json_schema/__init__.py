"""The JSON Schema of recipes (draft 2020-12), made from the source of the installed plugins, for editors.

    values       single values, from annotations
    components   `{use: name, option: value}`, torch's optimizers too
    methods      what the trainer decides: roles, routes, tensors, terms

A recipe with `base:` may be any part of a whole one and `~` may stand anywhere in it, so keys are required only of a
recipe without base. The schema refuses nothing that `forge check` accepts; `forge check` finds more.
"""

from __future__ import annotations

from collections.abc import Sequence

from i2i_forge.catalog.loading import Plugin, read_vocabulary
from i2i_forge.catalog.registry import NETWORKS
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.recipe.json_schema.components import component_schema, names_schema, optimizer_schema, required_options
from i2i_forge.recipe.json_schema.methods import domains, kinds_of_roles, method_schemas, with_phases
from i2i_forge.recipe.json_schema.values import NAME, Schema, or_null, plain
from i2i_forge.recipe.names import named_recipes
from i2i_forge.recipe.schema import RecipeModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "i2i_forge recipe"
BASE: Schema = {"type": "string", "description": "The recipe that this one changes: its file or its name."}


def recipe_schema(plugins: Sequence[Plugin]) -> Schema:
    """The schema of recipes that these plugins make possible; nothing of theirs is imported."""
    vocabulary = read_vocabulary(plugins)
    written = RecipeModel.model_json_schema()
    root, parts = plain(written), {name: or_null(plain(part)) for name, part in written["$defs"].items()}
    own = root["properties"]
    own["base"] = BASE | {"examples": list(named_recipes())}
    own["trainer"] |= names_schema(vocabulary, "trainers")
    own["networks"] |= _networks(vocabulary)
    methods = [with_phases(vocabulary), *method_schemas(vocabulary)]
    parts |= _components(vocabulary, parts)
    del parts["Network"]  # there is one for each registry instead
    parts["Optimizer"] = optimizer_schema(parts["Optimizer"]["properties"])
    whole = {"if": {"not": {"required": ["base"]}}, "then": _required(vocabulary, written)}
    return {"$schema": DRAFT, "title": TITLE, **root, "allOf": [whole, *methods], "$defs": parts}


def _components(vocabulary: Vocabulary, parts: dict[str, Schema]) -> dict[str, Schema]:
    """The definitions of streams and networks; a domain may have options, and a `use`, of its own."""
    stream = {key: value for key, value in parts["Data"]["properties"].items() if key != "use"}
    found = {
        "stream": component_schema(vocabulary, "datasets", stream),
        "Data": component_schema(vocabulary, "datasets", stream, {"$ref": "#/$defs/stream"}),
    }
    known = domains(vocabulary)
    domain: Schema = {"pattern": NAME} if known is None else {"enum": known}
    for kind in NETWORKS:
        own = {"$ref": f"#/$defs/{kind} of a domain"}
        mapping = {"type": "object", "propertyNames": domain, "additionalProperties": own}
        per = {"anyOf": [{"type": "array", "items": domain}, mapping, {"type": "null"}]}
        found[f"{kind} of a domain"] = component_schema(vocabulary, kind, {})
        found[kind] = component_schema(vocabulary, kind, {"per": parts["Network"]["properties"]["per"] | per})
    return found


def _networks(vocabulary: Vocabulary) -> Schema:
    """Role -> a network of the registry that it takes."""
    refs = {kind: {"$ref": f"#/$defs/{kind}"} for kind in NETWORKS}
    return {
        "properties": {
            role: refs[kinds[0]] if len(kinds) == 1 else {"anyOf": [refs[kind] for kind in kinds]}
            for role, kinds in kinds_of_roles(vocabulary).items()
        },
        "additionalProperties": {"anyOf": list(refs.values())},
    }


def _required(vocabulary: Vocabulary, written: Schema) -> Schema:
    """The keys that a recipe without base cannot do without, of pydantic's schema."""
    needs = {name: {"required": part["required"]} for name, part in written["$defs"].items() if "required" in part}
    data = needs["Data"] | {"allOf": required_options(vocabulary, "datasets")}
    each = {"networks": needs["Network"], "optimizers": needs["Optimizer"], "phases": needs["Phase"]}
    sections = {key: {"minProperties": 1, "additionalProperties": need} for key, need in each.items()}
    return {"required": written["required"], "properties": {"data": data, **sections}}
