"""All parts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from i2i_forge.catalog.loading import Plugin, read_vocabulary
from i2i_forge.catalog.registry import NETWORKS
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.recipe.json_schema.components import component_schema, names_schema, required_options
from i2i_forge.recipe.json_schema.methods import domains, kinds_of_roles, method_schemas, phases_schema
from i2i_forge.recipe.json_schema.optimizers import optimizer_schema
from i2i_forge.recipe.json_schema.options import NAME, Schema
from i2i_forge.recipe.json_schema.sections import section_schema
from i2i_forge.recipe.names import named_recipes
from i2i_forge.recipe.schema import RecipeModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "i2i_forge recipe"
BASE: Schema = {"type": "string", "description": "The recipe that this one changes: its file or its name."}


def recipe_schema(plugins: Sequence[Plugin]) -> Schema:
    """The schema of recipes that these plugins make possible; nothing of theirs is imported."""
    vocabulary = read_vocabulary(plugins)
    root, parts = section_schema(RecipeModel)
    own = root["properties"]
    own["base"] = BASE | {"examples": list(named_recipes())}
    own["trainer"] |= names_schema(vocabulary, "trainers")
    own["networks"] |= _networks(vocabulary)
    methods = [{"properties": {"phases": phases_schema(vocabulary)}}, *method_schemas(vocabulary)]
    parts |= _components(vocabulary, {plugin.name: plugin.file for plugin in plugins}, parts)
    del parts["Network"]  # there is one for each registry instead
    parts["Optimizer"] = optimizer_schema(parts["Optimizer"]["properties"])
    whole = {"if": {"not": {"required": ["base"]}}, "then": _required(vocabulary)}
    return {"$schema": DRAFT, "title": TITLE, **root, "allOf": [whole, *methods], "$defs": parts}


def _components(
    vocabulary: Vocabulary, files: Mapping[str, Path | None], parts: dict[str, Schema]
) -> dict[str, Schema]:
    """The definitions of streams and networks; a domain may have options, and a `use`, of its own."""
    make = partial(component_schema, vocabulary, files)
    stream = {key: value for key, value in parts["Data"]["properties"].items() if key != "use"}
    found = {"stream": make("datasets", stream), "Data": make("datasets", stream, {"$ref": "#/$defs/stream"})}
    known = domains(vocabulary)
    domain: Schema = {"pattern": NAME} if known is None else {"enum": known}
    for kind in NETWORKS:
        own = {"$ref": f"#/$defs/{kind} of a domain"}
        mapping = {"type": "object", "propertyNames": domain, "additionalProperties": own}
        per = {"anyOf": [{"type": "array", "items": domain}, mapping, {"type": "null"}]}
        found[f"{kind} of a domain"] = make(kind, {})
        found[kind] = make(kind, {"per": parts["Network"]["properties"]["per"] | per})
    return found


def _networks(vocabulary: Vocabulary) -> Schema:
    """Role -> a network of the registry that it takes."""
    roles = kinds_of_roles(vocabulary)
    refs = {kind: {"$ref": f"#/$defs/{kind}"} for kind in NETWORKS}
    return {
        "properties": {
            role: refs[kinds[0]] if len(kinds) == 1 else {"anyOf": [refs[kind] for kind in kinds]}
            for role, kinds in roles.items()
        },
        "additionalProperties": {"anyOf": list(refs.values())},
    }


def _required(vocabulary: Vocabulary) -> Schema:
    """The keys that a recipe without base cannot do without."""
    written = RecipeModel.model_json_schema()
    needs = {name: {"required": part["required"]} for name, part in written["$defs"].items() if "required" in part}
    data = needs["Data"] | {"allOf": required_options(vocabulary, "datasets")}
    each = {"networks": needs["Network"], "optimizers": needs["Optimizer"], "phases": needs["Phase"]}
    sections = {key: {"minProperties": 1, "additionalProperties": need} for key, need in each.items()}
    return {"required": written["required"], "properties": {"data": data, **sections}}
